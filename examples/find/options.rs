//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::Parser;

use crate::expression::{Expression, Kinds, Pattern, Size};

/// Searches directories, many at a time.
///
/// The tests may be written with one dash, as `find` has them. An entry is printed that passes all of them. Symbolic links are
/// not followed.
#[derive(Parser, Clone, Debug)]
#[command(name = "find")]
pub struct Options {
    /// Where to search
    #[arg(default_value = ".", value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Entries with a name like this: a shell's pattern, in quotes
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    name: Vec<Pattern>,

    /// Entries of these types: f file, d directory, l link, p pipe, s socket, b and c devices; `f,l` is either
    #[arg(long = "type", value_name = "TYPES")]
    kinds: Option<Kinds>,

    /// Entries of so many units, rounded up, or more (`+N`), or less (`-N`): c bytes, b 512 bytes (the default), w 2 bytes, k, M, G
    #[arg(long, value_name = "[+-]N[UNIT]", allow_hyphen_values = true)]
    size: Vec<Size>,

    /// Not farther down than this; at 0, only the paths themselves
    #[arg(long, value_name = "LEVELS", default_value_t = usize::MAX, hide_default_value = true)]
    pub maxdepth: usize,

    /// Ends each path with a NUL instead of a new line
    #[arg(long)]
    pub print0: bool,

    /// Directories that are searched at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = jobs)]
    pub jobs: usize,
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=1024) => Ok(jobs),
        _ => Err("not a number from 1 to 1024".into()),
    }
}

impl Options {
    /// What is searched for.
    pub fn expression(&self) -> Expression {
        Expression { names: self.name.clone(), kinds: self.kinds.clone(), sizes: self.size.clone() }
    }
}

/// The arguments with `find`'s own way to write its tests made this program's: `-name` is `--name`.
pub fn with_two_dashes(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    // What follows one of these is its value, whatever it looks like.
    let takes_value =
        |text: &str| matches!(text.trim_start_matches('-'), "name" | "type" | "size" | "maxdepth" | "jobs");
    let mut is_value = false;
    arguments.map(move |argument| {
        if std::mem::take(&mut is_value) {
            return argument;
        }
        match argument.to_str() {
            Some(text @ ("-name" | "-type" | "-size" | "-maxdepth" | "-print0")) => {
                is_value = takes_value(text);
                format!("-{text}").into()
            }
            Some(text) if text.starts_with("--") => {
                is_value = takes_value(text);
                argument
            }
            _ => argument,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let arguments = line.split_whitespace().map(OsString::from);
        Options::try_parse_from(with_two_dashes(arguments)).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_own_way_to_write_it_works() {
        let options =
            parse("find a b -name -name -type f,d -size -3k -size +1 -maxdepth 2 -print0").expect("all well formed");
        assert_eq!(options.paths, ["a", "b"].map(PathBuf::from));
        assert_eq!((options.maxdepth, options.print0, options.jobs), (2, true, 16));
        assert_eq!(options.name, ["-name".parse().unwrap()]);
        assert_eq!(options.size, ["-3k", "+1"].map(|text| text.parse().unwrap()));
        let defaults = parse("find").expect("nothing is required");
        assert_eq!((defaults.paths, defaults.maxdepth), (vec![PathBuf::from(".")], usize::MAX));
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_reason() {
        let cases = [
            ("find -type q", "'q' is no type"),
            ("find -size 1x", "'x' is no unit"),
            ("find -size", "a value is required"),
            ("find -maxdepth -1", "unexpected argument '-1'"),
            ("find --jobs 0", "not a number from 1 to 1024"),
            ("find -newer x", "unexpected argument '-n'"),
            ("find --exec x", "unexpected argument '--exec'"),
        ];
        for (line, reason) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
