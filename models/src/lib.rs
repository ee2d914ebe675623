//! What two threads share, held against every order in which they can touch it: see `tests/`.
