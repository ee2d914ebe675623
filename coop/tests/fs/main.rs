//! Files and directories, on the file system of the temporary directory, with the system's own view (`std::fs`) as the judge.

mod concurrency;
mod copying;
mod descriptors;
mod direct;
mod directories;
mod errors;
mod files;
mod kill;
mod model;
mod names;
mod scratch;
