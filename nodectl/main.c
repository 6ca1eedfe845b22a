#include "nodectl/tree.h"

int main(int argc, char **argv)
{
    return command_main(&nodectl_root, argc, argv);
}
