//! Topic patterns: selecting kinds of events with wildcards.
//!
//! A pattern is compared with the few topics there are ([`TOPICS`]) once, when somebody subscribes, and becomes a set of
//! kinds. Events are then selected by a bit of that set.

use crate::event::{KindSet, TOPICS};

/// Longest pattern, in bytes. Several times the longest topic; what is longer is not meant as a pattern.
const MAX_BYTES: usize = 256;

/// Divides levels.
const SEPARATOR: char = '/';
/// One level, whatever it is called.
const ONE: &str = "+";
/// All further levels, or none.
const REST: &str = "#";

/// The kinds whose topics match a pattern; never an empty set.
pub(super) fn kinds_matching(pattern: &str) -> Result<KindSet, TopicPatternError> {
    let levels = parse(pattern)?;
    let kinds = KindSet::with_topic(|topic| matches(&levels, topic));
    if kinds.is_empty() {
        return Err(matches_nothing(pattern, &levels));
    }
    Ok(kinds)
}

fn matches(levels: &[&str], topic: &str) -> bool {
    let mut topic = topic.split(SEPARATOR);
    for level in levels {
        match *level {
            REST => return true,
            ONE if topic.next().is_some() => {}
            name if topic.next() == Some(name) => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// The levels of a pattern that is well-formed, whether it matches anything or not.
fn parse(pattern: &str) -> Result<Vec<&str>, TopicPatternError> {
    if pattern.is_empty() {
        return Err(TopicPatternError::Empty);
    }
    if pattern.len() > MAX_BYTES {
        return Err(TopicPatternError::TooLong { length: pattern.len(), limit: MAX_BYTES });
    }
    let levels: Vec<_> = pattern.split(SEPARATOR).collect();
    for (index, text) in levels.iter().enumerate() {
        let (pattern, level) = (pattern.to_owned(), index + 1);
        if text.is_empty() {
            return Err(TopicPatternError::EmptyLevel { pattern, level });
        }
        if *text == REST && level != levels.len() {
            return Err(TopicPatternError::RestNotLast { pattern, level });
        }
        if text.len() > 1 && text.contains(['+', '#']) {
            return Err(TopicPatternError::WildcardInName { pattern, level, name: (*text).to_owned() });
        }
    }
    Ok(levels)
}

/// Says at which level the last topic drops out, and what could have been meant.
fn matches_nothing(pattern: &str, levels: &[&str]) -> TopicPatternError {
    let mut left: Vec<Vec<&str>> = TOPICS.iter().map(|topic| topic.split(SEPARATOR).collect()).collect();
    let mut repaired: Vec<&str> = Vec::new();
    let mut wrong = None;
    for (index, level) in levels.iter().enumerate() {
        if *level == REST {
            repaired.push(REST);
            break;
        }
        let fits = |topic: &&Vec<&str>| topic.get(index).is_some_and(|name| *level == ONE || name == level);
        let level = if left.iter().any(|topic| fits(&topic)) {
            *level
        } else {
            wrong.get_or_insert(index + 1);
            let names = left.iter().filter_map(|topic| topic.get(index));
            match names.min_by_key(|name| distance(name, level)) {
                Some(nearest) => nearest,
                // Every topic that fits ends before this level.
                None => break,
            }
        };
        repaired.push(level);
        left.retain(|topic| topic.get(index).is_some_and(|name| level == ONE || *name == level));
    }
    let suggestion = repaired.join("/");
    let complete = left.iter().any(|topic| topic.len() == repaired.len()) || repaired.last() == Some(&REST);
    TopicPatternError::MatchesNothing {
        pattern: pattern.to_owned(),
        level: wrong.unwrap_or(levels.len()),
        suggestion: if complete { suggestion } else { suggestion + "/#" },
    }
}

/// How many bytes must be inserted, removed or replaced to make one name of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *slot;
            left = replaced.min(*slot + 1).min(left + 1);
            *slot = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// What is wrong with a topic pattern. Levels are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicPatternError {
    /// Nothing at all.
    #[error("the topic pattern is empty; write \"#\" for every topic")]
    Empty,
    /// Longer than any topic can be.
    #[error("the topic pattern has {length} bytes; at most {limit} are allowed")]
    TooLong {
        /// Its length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A level without a name, as a `/` at the beginning, at the end or twice makes.
    #[error(
        "topic pattern {pattern:?}: level {level} is empty; remove the extra \"/\", or write \"+\" for any level"
    )]
    EmptyLevel {
        /// The pattern.
        pattern: String,
        /// The level.
        level: usize,
    },
    /// `#` with something behind it.
    #[error(
        "topic pattern {pattern:?}: \"#\" at level {level} is not the last level; write \"+\" for one level"
    )]
    RestNotLast {
        /// The pattern.
        pattern: String,
        /// The level.
        level: usize,
    },
    /// A wildcard as part of a name.
    #[error(
        "topic pattern {pattern:?}: level {level}, {name:?}, mixes a wildcard with other characters; \"+\" and \"#\" stand for whole levels"
    )]
    WildcardInName {
        /// The pattern.
        pattern: String,
        /// The level.
        level: usize,
        /// The level as written.
        name: String,
    },
    /// No topic there is can match.
    #[error("topic pattern {pattern:?} matches no topic from level {level} on; did you mean {suggestion:?}?")]
    MatchesNothing {
        /// The pattern.
        pattern: String,
        /// The first level at which no topic fits any more, or the last if topics only go on.
        level: usize,
        /// A pattern near to it that matches something.
        suggestion: String,
    },
}
