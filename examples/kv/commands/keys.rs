//! Keys whatever their values: there or not, how many, all gone.

use super::{Call, syntax_error};
use crate::resp;

pub(super) fn del(call: &mut Call<'_>) {
    let removed = call.request.args(1).filter(|key| call.store.remove(key, call.now)).count();
    resp::number(call.out, removed as i64);
}

/// Counts a key as often as it is named.
pub(super) fn exists(call: &mut Call<'_>) {
    let found = call.request.args(1).filter(|key| call.store.contains(key, call.now)).count();
    resp::number(call.out, found as i64);
}

/// `TYPE`: all values are strings.
pub(super) fn kind(call: &mut Call<'_>) {
    let there = call.store.contains(call.request.arg(1), call.now);
    resp::simple(call.out, if there { "string" } else { "none" });
}

pub(super) fn dbsize(call: &mut Call<'_>) {
    resp::number(call.out, call.store.len() as i64);
}

/// `FLUSHALL` and `FLUSHDB`, which are one: there is one database. `ASYNC` is accepted and is not.
pub(super) fn flush(call: &mut Call<'_>) {
    let mode = |mode: &[u8]| mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async");
    if call.request.len() > 2 || !call.request.args(1).all(mode) {
        return syntax_error(call.out);
    }
    call.store.clear();
    resp::ok(call.out);
}
