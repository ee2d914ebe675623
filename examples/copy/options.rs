//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Copies a file or a tree, several files at a time.
///
/// SOURCE becomes TARGET; where that is a directory already, the trees are merged, and files of the same name replaced. Permissions,
/// times and symbolic links are kept, owners are not. Each file is written under another name first: nobody ever sees half of one.
#[derive(Parser, Clone, Debug, PartialEq, Eq)]
#[command(name = "copy")]
pub struct Options {
    /// What to copy
    pub source: PathBuf,

    /// Where to
    pub target: PathBuf,

    /// Files and directories that are copied at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = jobs)]
    pub jobs: usize,

    /// Whether to show how far it is: by default where standard error is a terminal
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub progress: When,
}

/// Whether to show progress.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Where standard error is a terminal
    Auto,
    Always,
    Never,
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=1024) => Ok(jobs),
        _ => Err("not a number from 1 to 1024".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_can_be_set() {
        let options = parse("copy a b --jobs 3 --progress never").expect("all well formed");
        assert_eq!((options.source, options.target), ("a".into(), "b".into()));
        assert_eq!((options.jobs, options.progress), (3, When::Never));
        assert_eq!(parse("copy a b").expect("the rest has defaults").progress, When::Auto);
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_reason() {
        let cases = [
            ("copy", "required arguments were not provided"),
            ("copy a", "<TARGET>"),
            ("copy a b c", "unexpected argument 'c'"),
            ("copy a b --jobs 0", "not a number from 1 to 1024"),
            ("copy a b --progress maybe", "invalid value 'maybe'"),
            ("copy -r a b", "unexpected argument '-r'"),
        ];
        for (line, reason) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
