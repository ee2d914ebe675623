//! Text within other text: as JSON has it, and as HTML has it.

use std::fmt::{self, Write};

/// A JSON string, quotes included.
pub(super) struct Json<'a>(pub(super) &'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                // Also what would end a `<script>` around it, and what JavaScript takes for a new line.
                c if c < ' ' || matches!(c, '<' | '\u{7f}' | '\u{2028}' | '\u{2029}') => {
                    write!(f, "\\u{:04x}", c as u32)?
                }
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

/// Text or an attribute's value in HTML.
pub(super) struct Html<'a>(pub(super) &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // No other control character may stand there at all.
                c if c < ' ' && !matches!(c, '\n' | '\t') => f.write_char('\u{fffd}')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_it() {
        let text = "a\"b\\c\nd</script>\u{1}\u{2028}'&ü";
        assert_eq!(Json(text).to_string(), "\"a\\\"b\\\\c\\nd\\u003c/script>\\u0001\\u2028'&ü\"");
        assert_eq!(Html(text).to_string(), "a&quot;b\\c\nd&lt;/script&gt;\u{fffd}\u{2028}&#39;&amp;ü");
    }
}
