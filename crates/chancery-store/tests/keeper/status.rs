//! What people are told of keys: the table and the drawing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chancery_core::rotation::{
    Action, Change, KeyState, Lane, Manifest, RotationPolicy, RotationTimes, plan,
};
use chancery_core::{Algorithm, Clock, Jwk, JwkSet, UnixTime};
use chancery_store::{Status, Store};
use roxmltree::{Document, Node};

use crate::support::{Hands, Memory, Replica, policy};

/// 2027-03-01T00:00:00Z, a Monday.
const MONDAY: u64 = 1_803_859_200;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn at(second: u64) -> UnixTime {
    UnixTime::from_secs(second).unwrap()
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * HOUR)
}

fn week_policy() -> RotationPolicy {
    let times = RotationTimes::default()
        .with_refresh(hours(10))
        .with_longest_lifetime(hours(6));
    let lane = |algorithm, backend, days: u64| {
        Lane::new(algorithm, backend)
            .with_active_for(hours(24 * days), hours(48 * days))
            .with_margin(hours(4))
    };
    RotationPolicy::new(1)
        .with_times(times)
        .with_lane(lane(Algorithm::Es256, "software", 2).with_standby("hsm"))
        .with_lane(lane(Algorithm::Rs256, "software", 4))
        .nobody_has_fetched()
}

/// A manifest that one replica keeps, step by step, with keys whose public halves are at hand.
struct Life {
    manifest: Manifest,
    keys: Vec<Jwk>,
    now: u64,
}

impl Life {
    fn begin(policy: RotationPolicy) -> Self {
        let keys = JwkSet::from_json(include_bytes!("public_keys.json")).unwrap();
        Self {
            manifest: Manifest::create(policy, "replica-1", at(MONDAY)).unwrap(),
            keys: keys.keys().to_vec(),
            now: MONDAY,
        }
    }

    fn apply(&mut self, change: &Change, by: &str) {
        self.manifest = self.manifest.apply(change, by, at(self.now)).unwrap();
    }

    /// Does what a keeper does, each ten minutes.
    fn run_until(&mut self, end: u64) {
        while self.now < end {
            while let Some(change) = self.due() {
                self.apply(&change, "replica-1");
            }
            self.now += 600;
        }
    }

    fn due(&mut self) -> Option<Change> {
        let now = at(self.now);
        let plan = plan(&self.manifest, self.manifest.policy(), now).unwrap();
        let action = plan.due(now).next()?.action.clone();
        Some(match action {
            Action::Provision {
                algorithm,
                backend,
                role,
            } => {
                let is_unused = |key: &Jwk| {
                    key.algorithm() == algorithm && self.manifest.key(key.kid()).is_none()
                };
                let jwk = self.keys.iter().find(|key| is_unused(key)).unwrap().clone();
                Change::Provision {
                    reference: format!("keys/{}.pem", jwk.kid()),
                    jwk,
                    backend,
                    role,
                }
            }
            Action::Probe { kid } => Change::Observe { kid },
            Action::Destroy { kid } => Change::Destroy { kid },
            action => action.change().unwrap(),
        })
    }

    fn status(&self) -> Status {
        Status::new(&self.manifest, self.manifest.policy(), at(self.now))
    }
}

/// A week in which the key that signs is revoked on Thursday, seen on Saturday.
pub(crate) fn week() -> Status {
    week_with("operator-1")
}

fn week_with(operator: &str) -> Status {
    let mut life = Life::begin(week_policy());
    life.run_until(MONDAY + 3 * DAY + 15 * HOUR);
    let active = life.manifest.active(Algorithm::Es256, at(life.now));
    let kid = active.unwrap().kid().to_owned();
    let change = Change::Revoke {
        kid,
        without_successor: false,
    };
    life.apply(&change, operator);
    life.run_until(MONDAY + 5 * DAY + 12 * HOUR);
    life.status()
}

fn week_svg() -> String {
    let (monday, end) = (at(MONDAY), at(MONDAY + 9 * DAY));
    week().timeline().between(monday, end).to_svg()
}

/// With `CHANCERY_WRITE_GOLDENS` set, the drawing is written; look at it then.
#[test]
fn the_guide_shows_what_is_drawn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rotation.svg");
    let fresh = week_svg();
    if std::env::var_os("CHANCERY_WRITE_GOLDENS").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap();
    assert!(
        kept == fresh,
        "docs/rotation.svg is out of date: run the test with CHANCERY_WRITE_GOLDENS=1, and look at it"
    );
}

fn class<'a>(node: Node<'a, '_>) -> &'a str {
    node.attribute("class").unwrap_or_default()
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

#[test]
fn the_drawing_is_xml_that_refers_to_nothing_and_has_a_row_for_each_key() {
    let svg = week_svg();
    assert_eq!(svg, week_svg());
    let document = Document::parse(&svg).unwrap();
    let status = week();
    for node in document.descendants().filter(Node::is_element) {
        assert_eq!(
            node.tag_name().namespace(),
            Some("http://www.w3.org/2000/svg")
        );
        let name = node.tag_name().name();
        assert!(
            [
                "svg", "style", "defs", "pattern", "rect", "line", "text", "title", "g", "path",
                "circle"
            ]
            .contains(&name),
            "{name}"
        );
        for attribute in node.attributes() {
            assert!(!attribute.name().contains("href"), "{attribute:?}");
            assert!(!attribute.name().starts_with("on"), "{attribute:?}");
        }
    }
    assert!(!svg.replace("url(#chancery-draining)", "").contains("url("));
    assert!(!svg.contains("@import"));
    let rows: Vec<&str> = document
        .descendants()
        .filter(|node| class(*node) == "kid")
        .filter_map(|node| node.text())
        .collect();
    let keys: Vec<&str> = status.keys.iter().map(|key| &key.kid[..8]).collect();
    assert_eq!(rows, keys);
}

#[test]
fn names_stand_in_the_drawing_to_the_letter_and_are_no_markup() {
    let name = "<b onclick='x'>a & \"b\"</b>]]>";
    let (monday, end) = (at(MONDAY), at(MONDAY + 9 * DAY));
    let svg = week_with(name).timeline().between(monday, end).to_svg();
    let document = Document::parse(&svg).unwrap();
    let titles: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name("title"))
        .filter_map(|node| node.text())
        .collect();
    let revoked = format!("revoked 2027-03-04T15:00:00Z by {name}");
    assert!(titles.contains(&&*revoked), "{titles:#?}");
    let elements = document.descendants().filter(|node| node.is_element());
    assert!(!elements.into_iter().any(|node| node.has_tag_name("b")));
}

#[test]
fn bars_lie_where_their_moments_do_and_inside_the_plot() {
    let svg = week_svg();
    let document = Document::parse(&svg).unwrap();
    let card = document
        .descendants()
        .find(|node| class(*node) == "card")
        .unwrap();
    let (width, height) = (number(card, "width"), number(card, "height"));
    for node in document.descendants() {
        for (name, size) in [("x", width), ("x1", width), ("x2", width), ("cx", width)] {
            if node.attribute(name).is_some() {
                assert!((0.0..=size).contains(&number(node, name)), "{node:?}");
            }
        }
        if node.has_tag_name("rect") && class(node) != "card" {
            assert!(
                number(node, "x") + number(node, "width") <= width,
                "{node:?}"
            );
            assert!(
                number(node, "y") + number(node, "height") <= height,
                "{node:?}"
            );
        }
    }
    // A day is a ninth of the plot, from x = 210 to x = 924.
    let day = (960.0 - 36.0 - 210.0) / 9.0;
    let now = document
        .descendants()
        .find(|node| class(*node) == "now")
        .unwrap();
    assert!((number(now, "x1") - (210.0 + 5.5 * day)).abs() < 0.2);
    let status = week();
    let key = &status.keys[0];
    let (activate, stop) = (key.moments.activate.unwrap(), key.moments.stop.unwrap());
    let title = format!("signs: {} to {}", activate.to_rfc3339(), stop.to_rfc3339());
    let bar = document
        .descendants()
        .find(|node| node.has_tag_name("title") && node.text() == Some(&title))
        .and_then(|title| title.next_sibling_element())
        .unwrap();
    let days =
        |moment: UnixTime| Duration::from_secs(moment.as_secs() - MONDAY).as_secs_f64() / 86_400.0;
    assert_eq!(class(bar), "active");
    assert!((number(bar, "x") - (210.0 + days(activate) * day)).abs() < 0.2);
    assert!((number(bar, "width") - (days(stop) - days(activate)) * day).abs() < 0.2);
}

#[test]
fn the_table_fits_a_terminal_and_says_what_comes_next() {
    let table = week().to_string();
    for line in table.lines() {
        assert!(line.len() <= 80, "{line}");
    }
    let status = week();
    let active = status
        .keys
        .iter()
        .find(|key| key.state == KeyState::Active)
        .unwrap();
    assert!(!table.contains(&active.kid), "{table}");
    // Only with whole kids can it be revoked.
    let whole = format!("{status:#}");
    assert!(whole.contains(&active.kid), "{whole}");
    assert!(table.contains("revoked"), "{table}");
    assert!(status.problems().is_empty(), "{:?}", status.problems());
}

#[test]
fn keys_that_are_long_over_are_left_out() {
    let mut life = Life::begin(week_policy());
    life.run_until(MONDAY + 15 * DAY);
    let status = life.status();
    let shown: Vec<&str> = status.present_keys().map(|key| &key.kid[..8]).collect();
    assert!(shown.len() < status.keys.len());
    for key in &status.keys {
        let is_over = key
            .moments
            .destroyed_at
            .is_some_and(|gone| gone.max(key.moments.out().unwrap()) < at(life.now - 4 * DAY));
        assert_eq!(!shown.contains(&&key.kid[..8]), is_over, "{key:?}");
    }
    let table = status.to_string();
    let hidden = status.keys.len() - shown.len();
    assert!(
        table.contains(&format!("{hidden} older keys are over.")),
        "{table}"
    );
    // The drawing has those that lived in its time; all of them when asked.
    let rows = |svg: &str| svg.matches("class=\"kid\"").count();
    let drawn = rows(&status.timeline().to_svg());
    assert!(shown.len() <= drawn && drawn < status.keys.len(), "{drawn}");
    let all = status.timeline().between(at(MONDAY), at(life.now));
    assert_eq!(rows(&all.to_svg()), status.keys.len());
}

#[test]
fn every_stretch_of_time_can_be_drawn() {
    let status = week();
    for (from, until) in [
        (0, UnixTime::MAX.as_secs()),
        (MONDAY, MONDAY),
        (MONDAY + DAY, MONDAY),
        (UnixTime::MAX.as_secs(), UnixTime::MAX.as_secs()),
        (MONDAY, MONDAY + 30),
        (MONDAY, MONDAY + 400 * DAY),
    ] {
        let svg = status.timeline().between(at(from), at(until)).to_svg();
        Document::parse(&svg).unwrap();
        assert!(
            svg.matches("text-anchor=\"middle\"").count() <= 2 * 12,
            "{svg}"
        );
    }
    let svg = Status::new(
        &Manifest::create(week_policy(), "a", at(0)).unwrap(),
        &week_policy(),
        at(0),
    );
    Document::parse(&svg.timeline().to_svg()).unwrap();
}

#[test]
fn a_clock_that_went_back_and_another_policy_are_told_and_the_rest_is_shown() {
    let mut life = Life::begin(week_policy());
    life.run_until(MONDAY + DAY);
    let mut other = week_policy();
    other.lanes[0].margin = hours(5);
    let status = Status::new(&life.manifest, &other, at(life.now));
    let problems = status.problems();
    assert!(problems[0].contains("raise the version"), "{problems:?}");
    assert!(!status.steps.is_empty());
    let status = Status::new(&life.manifest, &week_policy(), at(MONDAY - HOUR));
    let problems = status.problems().join("\n");
    assert!(problems.contains("set the clock right"), "{problems}");
    assert!(!status.steps.is_empty());
}

#[test]
fn a_manifest_that_nobody_keeps_is_noticed() {
    let mut life = Life::begin(week_policy());
    life.run_until(MONDAY + DAY);
    assert_eq!(life.status().problems(), Vec::<String>::new());
    life.now += 9 * DAY;
    let problems = life.status().problems().join("\n");
    assert!(problems.contains("is a keeper running?"), "{problems}");
    assert!(problems.contains("lane ES256 signs nothing"), "{problems}");
}

#[tokio::test]
async fn a_replica_tells_how_it_is() {
    // Lines are broken where they end.
    let words = |status: Status| {
        let text = status.to_string();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (store, memory, clock) = (Store::memory(), Memory::default(), Hands::at_start());
    let replica = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    let status = replica.keeper.status(clock.now());
    assert_eq!(status.revision, None);
    assert!(words(status).contains("no manifest has been read yet"));
    assert!(replica.keeper.step(clock.now()).await.is_err());
    let told = words(replica.keeper.status(clock.now()));
    assert!(told.contains("is this the right store?"), "{told}");

    replica.keeper.initialize(clock.now()).await.unwrap();
    replica.keeper.step(clock.now()).await.unwrap();
    let status = replica.keeper.status(clock.now());
    let told = words(status.clone());
    assert!(told.contains("Replica replica is ready"), "{told}");
    assert!(told.contains("with a lease of another 50 s"), "{told}");
    assert_eq!(status.keys.len(), 1);
    assert_eq!(status.keys[0].is_open, Some(true));
    assert_eq!(
        status.lanes[0].active.as_deref(),
        Some(&*status.keys[0].kid)
    );
    assert!(status.problems().is_empty(), "{told}");

    // Another replica cannot open the key, and says so.
    let other = Replica::new(&store, &memory, policy().nobody_has_fetched(), &clock);
    memory.fail(Some("the device is on fire"));
    other.keeper.step(clock.now()).await.unwrap();
    let told = words(other.keeper.status(clock.now()));
    assert!(told.contains("Replica replica is not ready"), "{told}");
    assert!(
        told.contains("its signer in backend memory is not open"),
        "{told}"
    );
    assert!(told.contains("the device is on fire"), "{told}");

    clock.turn(51);
    let told = words(replica.keeper.status(clock.now()));
    assert!(told.contains("not ready, without a lease"), "{told}");
    assert!(told.contains("the lease ran out at"), "{told}");
}
