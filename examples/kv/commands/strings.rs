//! Values: reading, writing, counting.

use super::{Call, expiry::Unit, integer, syntax_error, wrong_arity};
use crate::{
    resp,
    store::{Lifetime, NEVER},
};

/// Longest reply of `MGET`, which may name the same large value any number of times.
const MAX_REPLY: usize = 1 << 30;

pub(super) fn get(call: &mut Call<'_>) {
    match call.store.get(call.request.arg(1), call.now) {
        Some(value) => resp::bulk(call.out, value),
        None => resp::null(call.out),
    }
}

pub(super) fn mget(call: &mut Call<'_>) {
    let begin = call.out.len();
    resp::array(call.out, call.request.len() - 1);
    for key in call.request.args(1) {
        match call.store.get(key, call.now) {
            Some(value) => resp::bulk(call.out, value),
            None => resp::null(call.out),
        }
        if call.out.len() - begin > MAX_REPLY {
            call.out.truncate(begin);
            return resp::error(call.out, &[b"ERR reply is longer than 1 GiB"]);
        }
    }
}

pub(super) fn set(call: &mut Call<'_>) {
    if call.request.len() > 3 {
        return set_with_options(call);
    }
    call.store.set(call.request.arg(1), call.request.arg(2), Lifetime::Until(NEVER), call.now);
    resp::ok(call.out);
}

/// The options of `SET`.
#[derive(Default)]
struct SetOptions {
    only_new: bool,
    only_old: bool,
    get: bool,
    keep: bool,
    /// The unit of the time, and which argument it is.
    expiry: Option<(Unit, usize)>,
}

impl SetOptions {
    /// The options from argument 3 on; `None` for a syntax error.
    fn parse(call: &Call<'_>) -> Option<Self> {
        let mut options = Self::default();
        let mut index = 3;
        while index < call.request.len() {
            let is = |name: &[u8]| call.request.arg(index).eq_ignore_ascii_case(name);
            if is(b"NX") && !options.only_old {
                options.only_new = true;
            } else if is(b"XX") && !options.only_new {
                options.only_old = true;
            } else if is(b"GET") {
                options.get = true;
            } else if is(b"KEEPTTL") && options.expiry.is_none() {
                options.keep = true;
            } else {
                let unit = Unit::of_option(call.request.arg(index))?;
                let settled = options.keep || options.expiry.is_some_and(|(earlier, _)| earlier != unit);
                index += 1;
                if settled || index == call.request.len() {
                    return None;
                }
                options.expiry = Some((unit, index)); // of several in the same unit, the last counts
            }
            index += 1;
        }
        Some(options)
    }
}

fn set_with_options(call: &mut Call<'_>) {
    let Some(options) = SetOptions::parse(call) else {
        return syntax_error(call.out);
    };
    let lifetime = match options.expiry {
        Some((unit, index)) => match unit.positive_deadline(call, index, "set") {
            Some(deadline) => Lifetime::Until(deadline),
            None => return,
        },
        None if options.keep => Lifetime::Keep,
        None => Lifetime::Until(NEVER),
    };
    let (key, value) = (call.request.arg(1), call.request.arg(2));
    if options.get {
        get(call);
    }
    let there = call.store.contains(key, call.now);
    let wanted = if there { !options.only_new } else { !options.only_old };
    if wanted {
        call.store.set(key, value, lifetime, call.now);
    }
    if !options.get {
        if wanted { resp::ok(call.out) } else { resp::null(call.out) }
    }
}

pub(super) fn setex(call: &mut Call<'_>) {
    set_for(call, Unit::Seconds, "setex");
}

pub(super) fn psetex(call: &mut Call<'_>) {
    set_for(call, Unit::Millis, "psetex");
}

fn set_for(call: &mut Call<'_>, unit: Unit, command: &str) {
    if let Some(deadline) = unit.positive_deadline(call, 2, command) {
        call.store.set(call.request.arg(1), call.request.arg(3), Lifetime::Until(deadline), call.now);
        resp::ok(call.out);
    }
}

pub(super) fn setnx(call: &mut Call<'_>) {
    let key = call.request.arg(1);
    let new = !call.store.contains(key, call.now);
    if new {
        call.store.set(key, call.request.arg(2), Lifetime::Until(NEVER), call.now);
    }
    resp::number(call.out, i64::from(new));
}

pub(super) fn getset(call: &mut Call<'_>) {
    get(call);
    call.store.set(call.request.arg(1), call.request.arg(2), Lifetime::Until(NEVER), call.now);
}

pub(super) fn getdel(call: &mut Call<'_>) {
    match call.store.take(call.request.arg(1), call.now) {
        Some(value) => resp::bulk(call.out, &value),
        None => resp::null(call.out),
    }
}

pub(super) fn mset(call: &mut Call<'_>) {
    if call.request.len().is_multiple_of(2) {
        return wrong_arity("mset", call.out);
    }
    let mut arguments = call.request.args(1);
    while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
        call.store.set(key, value, Lifetime::Until(NEVER), call.now);
    }
    resp::ok(call.out);
}

pub(super) fn strlen(call: &mut Call<'_>) {
    let len = call.store.get(call.request.arg(1), call.now).map_or(0, <[u8]>::len);
    resp::number(call.out, len as i64);
}

pub(super) fn append(call: &mut Call<'_>) {
    let (key, more) = (call.request.arg(1), call.request.arg(2));
    let len = match call.store.get_mut(key, call.now) {
        Some(value) if value.len() + more.len() > resp::MAX_BULK => {
            return resp::error(call.out, &[b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"]);
        }
        Some(value) => {
            value.append(more);
            value.len()
        }
        None => {
            call.store.set(key, more, Lifetime::Keep, call.now);
            more.len()
        }
    };
    resp::number(call.out, len as i64);
}

pub(super) fn incr(call: &mut Call<'_>) {
    add(call, 1);
}

pub(super) fn decr(call: &mut Call<'_>) {
    add(call, -1);
}

pub(super) fn incrby(call: &mut Call<'_>) {
    if let Some(by) = integer(call, 2) {
        add(call, by);
    }
}

pub(super) fn decrby(call: &mut Call<'_>) {
    match integer(call, 2).map(i64::checked_neg) {
        Some(Some(by)) => add(call, by),
        Some(None) => resp::error(call.out, &[b"ERR decrement would overflow"]),
        None => {}
    }
}

fn add(call: &mut Call<'_>, by: i64) {
    let key = call.request.arg(1);
    let Some(held) = call.store.get_mut(key, call.now) else {
        call.store.set(key, itoa::Buffer::new().format(by).as_bytes(), Lifetime::Keep, call.now);
        return resp::number(call.out, by);
    };
    match resp::integer(held).map(|value| value.checked_add(by)) {
        Some(Some(sum)) => {
            held.assign(itoa::Buffer::new().format(sum).as_bytes());
            resp::number(call.out, sum);
        }
        Some(None) => resp::error(call.out, &[b"ERR increment or decrement would overflow"]),
        None => resp::error(call.out, &[b"ERR value is not an integer or out of range"]),
    }
}
