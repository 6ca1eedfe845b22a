/* nodes.conf of stock redis-server 7.0.15 nodes. */
#ifndef TESTS_CLUSTER_STOCK_FILES_H
#define TESTS_CLUSTER_STOCK_FILES_H

static const struct stock_file {
    const char *text;
    int port, bus_port;
    const char *hostname;
} stock_files[] = {
    {"1c83df413f46268dbd712528b075c113719571d2 127.0.0.1:8461@19461,node-8461.example slave fbcb364fd42849"
     "0d70fed1da967109bf5d6f22ff 0 1795320767690 4 connected\n"
     "41d2da22081db25ea1a1186f3010c074dab04129 127.0.0.1:8462@19462,node-8462.example myself,master - 0 17"
     "95320767000 2 connected 5461-6002 6004-10921 [6000->-53b70f83d710aec20caf298a0bf73d91d2bd8fb0]\n"
     "53b70f83d710aec20caf298a0bf73d91d2bd8fb0 127.0.0.1:8463@19463 master - 0 1795320768000 3 connected 1"
     "0922-16383\n"
     "fbcb364fd428490d70fed1da967109bf5d6f22ff 127.0.0.1:8464@19464,node-8464.example master - 0 179532076"
     "7690 4 connected 0-5460\n"
     "vars currentEpoch 4 lastVoteEpoch 4\n",
     8462, 19462, "node-8462.example"},
    {"fbcb364fd428490d70fed1da967109bf5d6f22ff 127.0.0.1:8464@19464,node-8464.example master - 0 179532076"
     "8110 4 connected 0-5460\n"
     "1c83df413f46268dbd712528b075c113719571d2 127.0.0.1:8461@19461,node-8461.example slave fbcb364fd42849"
     "0d70fed1da967109bf5d6f22ff 0 1795320767697 4 connected\n"
     "41d2da22081db25ea1a1186f3010c074dab04129 127.0.0.1:8462@19462,node-8462.example master - 0 179532076"
     "7697 2 connected 5461-10921\n"
     "53b70f83d710aec20caf298a0bf73d91d2bd8fb0 127.0.0.1:8463@19463 myself,master - 0 1795320767000 3 conn"
     "ected 10922-16383 [6001-<-41d2da22081db25ea1a1186f3010c074dab04129]\n"
     "vars currentEpoch 4 lastVoteEpoch 4\n",
     8463, 19463, ""},
    {"53b70f83d710aec20caf298a0bf73d91d2bd8fb0 127.0.0.1:8463@19463 master - 0 1795320766305 3 connected 1"
     "0922-16383\n"
     "1c83df413f46268dbd712528b075c113719571d2 127.0.0.1:8461@19461,node-8461.example slave fbcb364fd42849"
     "0d70fed1da967109bf5d6f22ff 1795320766706 1795320765702 4 connected\n"
     "41d2da22081db25ea1a1186f3010c074dab04129 127.0.0.1:8462@19462,node-8462.example master - 0 179532076"
     "6305 2 connected 5461-10921\n"
     "fbcb364fd428490d70fed1da967109bf5d6f22ff 127.0.0.1:8464@19464,node-8464.example myself,master - 0 17"
     "95320766000 4 connected 0-5460\n"
     "vars currentEpoch 4 lastVoteEpoch 0\n",
     8464, 19464, "node-8464.example"},
    {"1c83df413f46268dbd712528b075c113719571d2 127.0.0.1:8461@19461,node-8461.example myself,master - 0 17"
     "95320769000 5 connected 0-5460\n"
     "fbcb364fd428490d70fed1da967109bf5d6f22ff 127.0.0.1:8464@19464,node-8464.example master,fail - 179532"
     "0768618 1795320767712 4 disconnected\n"
     "53b70f83d710aec20caf298a0bf73d91d2bd8fb0 127.0.0.1:8463@19463 master - 0 1795320770807 3 connected 1"
     "0922-16383\n"
     "41d2da22081db25ea1a1186f3010c074dab04129 127.0.0.1:8462@19462,node-8462.example master - 0 179532077"
     "0806 2 connected 5461-10921\n"
     "vars currentEpoch 5 lastVoteEpoch 4\n",
     8461, 19461, "node-8461.example"},
    {"5b3da08fc2b6c09da76e035a6fcf38ffd7bd8827 :7961@17961 myself,master - 0 0 0 connected\n"
     "vars currentEpoch 0 lastVoteEpoch 0\n",
     7961, 17961, ""},
};

#endif
