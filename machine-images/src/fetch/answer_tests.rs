//! Answers of servers that tell the truth, that refuse, and that lie.

use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let value = |value: &str| value.parse().expect("a header's value");
    pairs
        .iter()
        .map(|(name, text)| (header::HeaderName::from_static(name), value(text)))
        .collect()
}

fn known(have: u64) -> Known {
    Known {
        have,
        total: Some(10),
        validator: Validator {
            etag: Some("\"a\"".to_owned()),
            last_modified: None,
        },
    }
}

fn answer(status: u16, pairs: &[(&'static str, &str)], have: u64) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    read(status, &headers(pairs), &known(have))
}

#[test]
fn the_rest_is_what_was_asked_for() {
    let part = |range, etag| answer(206, &[("content-range", range), ("etag", etag)], 4);
    assert_eq!(part("bytes 4-9/10", "\"a\""), Answer::Rest);
    assert_eq!(part("bytes 4-6/10", "\"a\""), Answer::Rest);
    assert_eq!(part("bytes 4-9/*", "\"a\""), Answer::Rest);
    assert_eq!(part("bytes 4-9/10", "\"b\""), Answer::Again);
    assert_eq!(part("bytes 4-10/11", "\"a\""), Answer::Again);
    for range in [
        "bytes 0-9/10",
        "bytes 5-9/10",
        "bytes 4-10/10",
        "bytes 4-3/10",
        "bytes */10",
        "bytes +4-9/10",
        "items 4-9/10",
        "bytes 4-9",
        "",
    ] {
        assert!(
            matches!(part(range, "\"a\""), Answer::Nonsense(_)),
            "{range}"
        );
    }
    assert!(matches!(answer(206, &[], 4), Answer::Nonsense(_)));
    let unasked = answer(206, &[("content-range", "bytes 0-9/10")], 0);
    assert!(matches!(unasked, Answer::Nonsense(_)));
}

#[test]
fn the_whole_comes_where_the_file_is_another_or_ranges_are_unknown() {
    let total = Some(12);
    assert_eq!(
        answer(200, &[("content-length", "12")], 4),
        Answer::Whole { total }
    );
    assert_eq!(answer(200, &[], 0), Answer::Whole { total: None });
    let encoded = answer(200, &[("content-encoding", "gzip")], 0);
    assert!(matches!(encoded, Answer::Nonsense(_)));
}

#[test]
fn a_range_past_the_end_is_the_end_or_another_file() {
    let end = [("content-range", "bytes */10")];
    assert_eq!(answer(416, &end, 10), Answer::Complete);
    assert_eq!(answer(416, &end, 9), Answer::Again);
    assert_eq!(
        answer(416, &[("content-range", "bytes */11")], 10),
        Answer::Again
    );
    assert_eq!(answer(416, &[], 10), Answer::Again);
    assert!(matches!(answer(416, &end, 0), Answer::Nonsense(_)));
}

#[test]
fn what_may_be_better_later_is_told_from_a_refusal() {
    for status in [408, 429, 500, 502, 503, 504] {
        assert_eq!(
            answer(status, &[], 0),
            Answer::Later { pause: None },
            "{status}"
        );
    }
    let pause = Some(Duration::from_secs(7));
    assert_eq!(
        answer(503, &[("retry-after", "7")], 0),
        Answer::Later { pause }
    );
    // A date counts from the answer's own, and says nothing without it.
    let asked = ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
    let pause_of = |headers: &[(&'static str, &str)]| match answer(503, headers, 0) {
        Answer::Later { pause } => pause.map(|pause| pause.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(pause_of(&[asked]), None);
    for (now, seconds) in [
        ("Fri, 31 Dec 1999 23:59:50 GMT", Some(9)),
        ("Thu, 30 Dec 1999 23:59:59 GMT", Some(86_400)),
        ("Sat, 01 Jan 2000 00:00:00 GMT", Some(0)),
        ("today", None),
    ] {
        assert_eq!(pause_of(&[asked, ("date", now)]), seconds, "{now}");
    }
    let wrong = ("retry-after", "Fri, 99 Dec 1999 23:59:59 GMT");
    let now = ("date", "Fri, 31 Dec 1999 23:59:50 GMT");
    assert_eq!(pause_of(&[wrong, now]), None);
    for status in [400, 401, 403, 404, 410, 501] {
        assert_eq!(answer(status, &[], 0), Answer::Refused, "{status}");
    }
    assert!(matches!(answer(204, &[], 0), Answer::Nonsense(_)));
    assert_eq!(answer(304, &[], 0), Answer::Unchanged);
}

#[test]
fn a_weak_tag_is_none() {
    let date = "Fri, 27 Nov 2026 10:00:00 GMT";
    let weak = Validator::of(&headers(&[("etag", "W/\"a\""), ("last-modified", date)]));
    assert_eq!(weak.if_range(), Some(date));
    let strong = Validator::of(&headers(&[("etag", "\"a\""), ("last-modified", date)]));
    assert_eq!(strong.if_range(), Some("\"a\""));
    assert_eq!(Validator::default().if_range(), None);
}

proptest! {
    /// Whatever a server says, the rest is taken only where it begins at the byte that is missing.
    #[test]
    fn prop_the_rest_fits(have in 0u64..20, first in 0u64..20, last in 0u64..20, total in 0u64..20) {
        let range = format!("bytes {first}-{last}/{total}");
        let answer = answer(206, &[("content-range", &range)], have);
        if answer == Answer::Rest {
            prop_assert!(first == have && have > 0 && last >= first && last < total && total == 10);
        }
    }

    #[test]
    fn prop_no_header_panics(status in 100u16..1000, range in "[ -~]{0,24}", length in "[ -~]{0,24}", have in any::<u64>()) {
        let _ = answer(status, &[("content-range", &range), ("content-length", &length), ("retry-after", &length)], have);
    }
}
