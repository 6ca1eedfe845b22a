"""Lines of the table in which both kinds have one value each."""
FORMAT = "%-38s %12s %12s %8s %9s  %s"


def cell(value, unit, bound, measured):
    if value is None:
        return "> %.0f %s" % (bound, unit) if bound is not None and measured else "-"
    return "%.*f %s" % (2 if unit == "%" else 1, value, unit)


def show(rows, kinds):
    """rows: (title, unit, target or None, ours, stock, how long stock was waited for in that unit or None). Prints them
    and returns the titles of missed targets. A value of ours that is missing misses its target."""
    missed = []
    for title, unit, target, ours, stock, bound in rows:
        ratio = "-"
        if ours and (stock or bound):
            ratio = "%.1f x" % (stock / ours) if stock else "> %.0f x" % (bound / ours)
        late = target is not None and "ours" in kinds and (ours is None or ours > target)
        if late:
            missed.append(title)
        goal = "-" if target is None else "<= %.*f %s" % (2 if unit == "%" else 0, target, unit)
        cells = cell(ours, unit, None, True), cell(stock, unit, bound, "stock" in kinds)
        print(FORMAT % (title, *cells, ratio, goal, "MISSED" if late else ""))
    return missed
