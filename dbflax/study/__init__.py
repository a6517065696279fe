"""--mode=study: the paper's comparisons, over subjects and seeds.

runs.py      which runs a study is made of, and doing them
findings.py  what their figures say: means, differences, intervals
results.py   the same as data and as a table
    page.py      the page of a study
"""
