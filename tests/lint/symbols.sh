#!/bin/bash
# The symbol rule: symbols.sh ARCHIVE... Pure archives need nothing but each other and the libc functions named here,
# which depend on their arguments alone, and hold no variable that can be written.
set -euo pipefail

ALLOWED='mem(chr|rchr|cmp|cpy|move|set) str(len|nlen|chr|rchr|cmp|ncmp|cpy|ncpy|str|spn|cspn|tod)
str(tol|toll|toul|toull|told|dup|ndup) malloc_usable_size
(m|c|re)alloc free v?snprintf qsort bsearch abort abs labs
f(abs|loor|max|min)|(l|ll)round|round|ceil|sqrt|exp|exp2|log|log2|pow|trunc|isnan|isinf
lzf_(de)?compress
__assert_fail __stack_chk_fail __(mem(cpy|move|set)|str(cpy|ncpy|cat)|v?snprintf)_chk
mem_fail _GLOBAL_OFFSET_TABLE_'
pattern="^($(printf '%s' "$ALLOWED" | tr -s ' \n' '||'))$"

status=0
# What one pure archive defines the next may use.
defined=$(nm --defined-only "$@" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u)
wanted=$(nm -A -u "$@" | awk 'NF > 1 && $(NF - 1) ~ /^[Uwv]$/ { print $NF }' | sort -u |
    comm -23 - <(printf '%s\n' "$defined"))
foreign=$(printf '%s\n' "$wanted" | grep -Ev "$pattern" || true)
for symbol in $foreign; do
    echo "a pure archive needs $symbol:"
    nm -A -u "$@" | awk -v s="$symbol" '$NF == s { print "    " $1 }'
    status=1
done
# .data.rel.ro is constant once the program is loaded.
written=$(nm -A -f sysv --defined-only "$@" |
    awk -F'|' '$7 ~ /^\.(t?data|t?bss)/ && $7 !~ /^\.data\.rel\.ro/ || $7 ~ /COM/')
if [ -n "$written" ]; then
    echo "pure archives hold variables that can be written:"
    printf '%s\n' "$written" | awk -F'|' '{ print "    " $1 }'
    status=1
fi
echo "symbols: $# archives"
exit $status
