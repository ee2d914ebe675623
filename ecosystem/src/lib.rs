//! Other people's crates, unchanged, over coop: each file of `tests` is one of them, and `ECOSYSTEM.md` the list.
