"""What the exchange costs, beside what the usual stack costs: every figure is a ratio from one run.

`python -m bench` measures everything but the condensed hour and writes `bench/RESULTS.md`;
`python -m bench --only auctions` measures one part and writes nothing; `python -m bench hour` is the condensed hour.

A machine's speed drifts within minutes, so no absolute figure is compared with one of another run.
The product and its peer take turns on the same machine (A B A B …) and the median of the rounds' ratios counts.
CPU time stands beside wall time: on a machine that also carries broker, database, bidders and load,
only the former says what a core can do.
"""
