//! `Bytes`: an owned byte string that keeps short ones in place.
//!
//! ```text
//!            0        1                                       24
//!   Inline   tag, len │ up to 22 bytes, right here             no allocation, no second cache miss
//!   Fixed    tag …    │ Box<[u8]>                              exactly as long as what it holds
//!   Growing  tag …    │ Box<Vec<u8>>                           spare room behind: what APPEND leaves
//! ```
//!
//! Most keys and many values of a cache are shorter than 23 bytes; looking such a pair up touches the hash table's
//! own lines and nothing else.

use std::{fmt, ops::Deref};

const INLINE: usize = 22;

/// An owned byte string of 24 bytes, whose content is inline up to 22 bytes and on the heap beyond.
#[derive(Clone)]
pub struct Bytes(Repr);

#[derive(Clone)]
enum Repr {
    Inline {
        len: u8,
        bytes: [u8; INLINE],
    },
    Fixed(Box<[u8]>),
    // The second box keeps `Bytes` at 24 bytes. Only strings that have been appended to pay for the extra hop.
    #[expect(clippy::box_collection)]
    Growing(Box<Vec<u8>>),
}

const _: () = assert!(size_of::<Bytes>() == 24);

impl Bytes {
    /// Replaces the content, in the allocation that is already there when the length has not changed.
    pub fn assign(&mut self, content: &[u8]) {
        match &mut self.0 {
            Repr::Fixed(held) if held.len() == content.len() => held.copy_from_slice(content),
            _ => *self = Self::from(content),
        }
    }

    /// Appends `more`. Repeated appends cost amortised O(`more`).
    pub fn append(&mut self, more: &[u8]) {
        if let Repr::Growing(held) = &mut self.0 {
            held.extend_from_slice(more);
            return;
        }
        let len = self.len() + more.len();
        if len <= INLINE {
            let mut joined = [0; INLINE];
            joined[..self.len()].copy_from_slice(self);
            joined[self.len()..len].copy_from_slice(more);
            self.0 = Repr::Inline { len: len as u8, bytes: joined };
        } else {
            let mut joined = Vec::with_capacity(len + len / 2);
            joined.extend_from_slice(self);
            joined.extend_from_slice(more);
            self.0 = Repr::Growing(Box::new(joined));
        }
    }
}

impl From<&[u8]> for Bytes {
    #[inline]
    fn from(content: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        Self(match bytes.get_mut(..content.len()) {
            Some(place) => {
                place.copy_from_slice(content);
                Repr::Inline { len: content.len() as u8, bytes }
            }
            None => Repr::Fixed(content.into()),
        })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Fixed(held) => held,
            Repr::Growing(held) => held,
        }
    }
}

impl std::borrow::Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl std::hash::Hash for Bytes {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_it_was_given_at_every_length_around_the_inline_limit() {
        for len in [0, 1, INLINE - 1, INLINE, INLINE + 1, 4096] {
            let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let bytes = Bytes::from(&content[..]);
            assert_eq!(&*bytes, &content[..]);
            assert_eq!(bytes.clone(), bytes);
            assert_eq!(matches!(bytes.0, Repr::Inline { .. }), len <= INLINE);
        }
    }

    #[test]
    fn appends_across_all_representations() {
        for first in [0, 5, INLINE, INLINE + 1, 100] {
            let mut expected = vec![b'a'; first];
            let mut bytes = Bytes::from(&expected[..]);
            for more in [0, 3, 17, 40, 1000] {
                bytes.append(&vec![b'b'; more]);
                expected.resize(expected.len() + more, b'b');
                assert_eq!(&*bytes, &expected[..]);
            }
        }
    }

    #[test]
    fn assigns_in_place_and_across_lengths() {
        let mut bytes = Bytes::from(&[b'x'; 40][..]);
        let before = bytes.as_ptr();
        bytes.assign(&[b'y'; 40]);
        assert_eq!((bytes.as_ptr(), &*bytes), (before, &[b'y'; 40][..]), "same length: same allocation");
        bytes.assign(b"short");
        assert_eq!(&*bytes, b"short");
        bytes.append(&[b'z'; 60]);
        bytes.assign(b"");
        assert_eq!(&*bytes, b"");
    }

    #[test]
    fn orders_by_content() {
        let (short, long) = (Bytes::from(&b"b"[..]), Bytes::from(&[b'a'; 50][..]));
        assert!(long < short && short == Bytes::from(&b"b"[..]));
    }
}
