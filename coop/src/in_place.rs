//! Writing a large value field by field, right where it will stand.
//!
//! `place.write(Task { … })` makes parts of the value elsewhere and copies them, in other pieces than they were written in: each
//! such load waits until the stores before it have left the core.

/// `write_fields!(place => Type { field: value, … })`: what `place.write(Type { field: value, … })` does. After a
/// semicolon come fields that are written by a function, which is given their place: `field => write`.
///
/// Unsafe: `place` is aligned and writable for a `Type`.
macro_rules! write_fields {
    ($place:expr => $type:ident { $($field:ident: $value:expr),* $(,)? $(; $($part:ident => $write:expr),* $(,)?)? }) => {{
        // Does not compile if a field is missing.
        let _all = |whole: $type| { let $type { $($field: _,)* $($($part: _,)*)? } = whole; };
        let place: *mut $type = $place;
        $((&raw mut (*place).$field).write($value);)*
        $($(($write)(&raw mut (*place).$part);)*)?
    }};
}

pub(crate) use write_fields;
