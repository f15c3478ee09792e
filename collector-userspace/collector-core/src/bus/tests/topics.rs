//! Topic patterns: what they select, and how the bus answers wrong ones.

use proptest::prelude::*;

use super::super::topic::{TopicPatternError, kinds_matching};
use super::*;
use crate::event::TOPICS;

/// The topics a pattern selects, by MQTT's rules, the plain way.
pub(super) fn selected_by(pattern: &str) -> Vec<&'static str> {
    fn fits(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            (["#"], _) | ([], []) => true,
            (["+", pattern @ ..], [_, topic @ ..]) => fits(pattern, topic),
            ([name, pattern @ ..], [level, topic @ ..]) => name == level && fits(pattern, topic),
            _ => false,
        }
    }
    let pattern: Vec<_> = pattern.split('/').collect();
    let fit = |topic: &&&str| fits(&pattern, &topic.split('/').collect::<Vec<_>>());
    TOPICS.iter().filter(fit).copied().collect()
}

fn selected(pattern: &str) -> Vec<&'static str> {
    let kinds = kinds_matching(pattern).unwrap();
    let index = |topic: &str| TOPICS.iter().position(|other| *other == topic).unwrap();
    TOPICS.iter().filter(|topic| kinds.has(index(topic))).copied().collect()
}

#[test]
fn wildcards_stand_for_one_level_or_for_the_rest() {
    let processes: Vec<_> = TOPICS.iter().filter(|topic| topic.contains("/process/")).copied().collect();
    assert_eq!(selected("#"), TOPICS);
    assert_eq!(selected("events/process/exec"), ["events/process/exec"]);
    assert_eq!(selected("events/process/+"), processes);
    assert_eq!(selected("events/process/#"), processes);
    assert_eq!(selected("+/process/#"), processes);
    assert_eq!(selected("events/+"), ["events/loss", "events/alert"]);
    // "#" includes the level before it.
    assert_eq!(selected("events/loss/#"), ["events/loss"]);
    assert_eq!(selected("control/#"), ["control/trigger/request"]);
}

#[test]
fn wrong_patterns_are_refused_with_place_and_reason() {
    let cases = [
        ("", "the topic pattern is empty; write \"#\" for every topic"),
        (
            "/events",
            "topic pattern \"/events\": level 1 is empty; remove the extra \"/\", or write \"+\" for any level",
        ),
        (
            "events//exec",
            "topic pattern \"events//exec\": level 2 is empty; remove the extra \"/\", or write \"+\" for any level",
        ),
        (
            "events/#/exec",
            "topic pattern \"events/#/exec\": \"#\" at level 2 is not the last level; write \"+\" for one level",
        ),
        (
            "events/proc+/exec",
            "topic pattern \"events/proc+/exec\": level 2, \"proc+\", mixes a wildcard with other characters; \"+\" and \"#\" stand for whole levels",
        ),
    ];
    for (pattern, message) in cases {
        assert_eq!(kinds_matching(pattern).unwrap_err().to_string(), message);
    }
    let long = "x".repeat(257);
    assert_eq!(kinds_matching(&long), Err(TopicPatternError::TooLong { length: 257, limit: 256 }));
}

#[test]
fn a_pattern_that_matches_nothing_is_refused_with_a_better_one() {
    let cases = [
        ("events/proces/exec", 2, "events/process/exec"),
        ("event/network/+", 1, "events/network/+"),
        ("events/files/opened", 2, "events/file/open"),
        ("events.process.exec", 1, "events/#"),
        ("events/process/exec/now", 4, "events/process/exec"),
        ("events/process/exec/+", 4, "events/process/exec"),
        ("events/process", 2, "events/process/#"),
        ("events", 1, "events/#"),
        ("+", 1, "+/#"),
        ("control/health/#", 2, "control/trigger/#"),
    ];
    for (pattern, level, suggestion) in cases {
        let (pattern, suggestion) = (pattern.to_owned(), suggestion.to_owned());
        let error = kinds_matching(&pattern).unwrap_err();
        assert_eq!(error, TopicPatternError::MatchesNothing { pattern, level, suggestion });
    }
}

#[tokio::test]
async fn a_subscription_with_a_wrong_pattern_fails() {
    let bus = running_bus().await;
    let error =
        bus.subscribe(EventFilter::new().with_topic("#").with_topic("events/proces/#")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "topic pattern \"events/proces/#\" matches no topic from level 2 on; did you mean \"events/process/#\"?"
    );
}

#[tokio::test]
async fn published_events_are_counted_by_topic() {
    let bus = running_bus().await;
    bus.publish(process(1)).await.unwrap();
    let _subscription = bus.subscribe(EventFilter::new()).await.unwrap();
    bus.publish(process(2)).await.unwrap();
    bus.publish_batch(vec![process(3), network(4)]).await.unwrap();
    let statistics = bus.statistics();
    let expected = [("events/network/connect", 1), ("events/process/exec", 3)];
    assert_eq!(statistics.published_by_topic, expected.into());
    assert_eq!(statistics.events_published, 4);
    bus.shutdown().await;
    bus.publish(process(5)).await.unwrap_err();
    bus.publish_batch(vec![process(5)]).await.unwrap_err();
    assert_eq!(bus.statistics().events_published, 4, "what is refused is not published");
}

proptest! {
    /// Whatever somebody writes, the answer is a set of kinds or an error, never a panic.
    #[test]
    fn hostile_patterns_are_answered(pattern in ".{0,40}") {
        let _any_answer = kinds_matching(&pattern);
    }

    #[test]
    fn near_patterns_are_matched_by_the_rules_or_answered_with_one_that_matches(
        levels in prop::collection::vec(
            prop::sample::select(vec!["events", "process", "network", "file", "loss", "exec", "open", "control", "+", "#", "", "ü", "x#", "\0"]),
            0..6,
        )
    ) {
        let pattern = levels.join("/");
        match kinds_matching(&pattern) {
            Ok(_) => prop_assert_eq!(selected(&pattern), selected_by(&pattern)),
            Err(TopicPatternError::MatchesNothing { suggestion, .. }) => {
                prop_assert!(selected_by(&pattern).is_empty());
                prop_assert!(kinds_matching(&suggestion).is_ok(), "{} for {}", suggestion, pattern);
            }
            Err(_) => {
                let rest = levels.iter().position(|level| *level == "#");
                let not_last = rest.is_some_and(|index| index + 1 != levels.len());
                prop_assert!(not_last || levels.is_empty() || levels.contains(&"") || levels.contains(&"x#"));
            }
        }
    }
}
