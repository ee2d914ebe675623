//! What is searched for: the tests that an entry must pass, all of them.

use std::{ffi::CString, io, str::FromStr};

use coop::fs::FileType;

/// `-name`, `-type` and `-size`.
#[derive(Clone, Debug, Default)]
pub struct Expression {
    pub names: Vec<Pattern>,
    pub kinds: Option<Kinds>,
    pub sizes: Vec<Size>,
}

impl Expression {
    /// Whether an entry passes. The cheaper tests come first, and what is not needed is not asked for.
    pub fn holds(
        &self,
        name: &[u8],
        kind: impl FnOnce() -> io::Result<FileType>,
        len: impl FnOnce() -> io::Result<u64>,
    ) -> io::Result<bool> {
        if !self.names.iter().all(|pattern| pattern.matches(name)) {
            return Ok(false);
        }
        if let Some(kinds) = &self.kinds
            && !kinds.contain(kind()?)
        {
            return Ok(false);
        }
        if self.sizes.is_empty() {
            return Ok(true);
        }
        let len = len()?;
        Ok(self.sizes.iter().all(|size| size.holds(len)))
    }
}

/// A shell's pattern, as fnmatch(3) has it; without its rule about leading dots, as in `find`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(CString);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        CString::new(text).map(Self).map_err(|_| "a pattern with a NUL in it".to_owned())
    }
}

impl Pattern {
    fn matches(&self, name: &[u8]) -> bool {
        let Ok(name) = CString::new(name) else { return false };
        // SAFETY: two strings with an end.
        unsafe { libc::fnmatch(self.0.as_ptr(), name.as_ptr(), 0) == 0 }
    }
}

/// Letters that stand for kinds of files: `f`, or `f,d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(Vec<char>);

impl FromStr for Kinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = |part: &str| match part.chars().next() {
            Some(letter) if part.len() == 1 && "fdlpsbc".contains(letter) => Ok(letter),
            _ => Err(format!("'{part}' is no type: f, d, l, p, s, b or c, or several with commas between")),
        };
        text.split(',').map(kind).collect::<Result<_, _>>().map(Self)
    }
}

impl Kinds {
    fn contain(&self, kind: FileType) -> bool {
        self.0.iter().any(|letter| match letter {
            'f' => kind.is_file(),
            'd' => kind.is_dir(),
            'l' => kind.is_symlink(),
            'p' => kind.is_fifo(),
            's' => kind.is_socket(),
            'b' => kind.is_block_device(),
            _ => kind.is_char_device(),
        })
    }
}

/// How many units, rounded up: exactly, more than, or less than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    compare: Compare,
    count: u64,
    unit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Less,
    Equal,
    More,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (compare, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (Compare::More, rest),
            Some(("-", rest)) => (Compare::Less, rest),
            _ => (Compare::Equal, text),
        };
        let (digits, unit) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let unit = match unit {
            "" | "b" => 512,
            "c" => 1,
            "w" => 2,
            "k" => 1 << 10,
            "M" => 1 << 20,
            "G" => 1 << 30,
            _ => return Err(format!("'{unit}' is no unit: b (512 bytes), c (1), w (2), k, M or G")),
        };
        let count = digits
            .parse()
            .map_err(|_| "not a size: a number, with + or - before it and a unit behind it".to_owned())?;
        Ok(Size { compare, count, unit })
    }
}

impl Size {
    fn holds(&self, len: u64) -> bool {
        let units = len.div_ceil(self.unit);
        match self.compare {
            Compare::Less => units < self.count,
            Compare::Equal => units == self.count,
            Compare::More => units > self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_before_they_are_compared() {
        let holds = |size: &str, len| size.parse::<Size>().unwrap().holds(len);
        assert!(holds("0", 0) && holds("1", 1) && holds("1", 512) && holds("2", 513));
        assert!(holds("1k", 1) && !holds("-1k", 1) && holds("-1k", 0) && holds("+1k", 1025) && !holds("+1k", 1024));
        assert!(
            holds("7c", 7) && holds("4w", 7) && holds("1M", 1 << 20) && holds("2G", (1 << 30) + 1) && holds("3b", 1500)
        );
        for (text, reason) in
            [("", "not a size"), ("+", "not a size"), ("k", "not a size"), ("1x", "'x' is no unit"), ("--1", "'-1' is")]
        {
            assert!(text.parse::<Size>().unwrap_err().contains(reason), "{text}");
        }
    }

    #[test]
    fn patterns_match_whole_names_dots_too() {
        let matches = |pattern: &str, name: &str| pattern.parse::<Pattern>().unwrap().matches(name.as_bytes());
        assert!(
            matches("*.rs", "main.rs") && matches("*", ".hidden") && matches("[ab]?", "bc") && matches("a\\*", "a*")
        );
        assert!(!matches("*.rs", "main.rs.orig") && !matches("main", "main.rs") && !matches("A", "a"));
    }

    #[test]
    fn kinds_are_letters() {
        assert_eq!("f,d".parse(), Ok(Kinds(vec!['f', 'd'])));
        for text in ["", "x", "fd", "f,", "f,x"] {
            assert!(text.parse::<Kinds>().unwrap_err().contains("is no type"), "{text}");
        }
    }
}
