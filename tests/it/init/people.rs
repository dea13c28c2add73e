//! Columns of people: which of them are proposed, and that their values stand in none of the files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};

use super::doubts::{ROWS, asked, in_turn, log, numbered, says};
use super::shapes::texts;
use super::{init, mapping, text};
use crate::lake::Lake;

#[test]
fn two_columns_of_people_are_a_choice() {
    let people = || numbered(|row| format!("p{}", row % 5));
    for (name, among) in [
        ("owner_id", "`owner_id`, `user_id`"),
        ("target_user_id", "`target_user_id`, `user_id`"),
        ("impersonated_user", "`impersonated_user`, `user_id`"),
        ("on_behalf_of", "`on_behalf_of`, `user_id`"),
        ("actor_id", "`user_id`"),
    ] {
        let (lake, outcome) = log(&[], vec![(name, people())]);
        assert_eq!(asked(&outcome), ["subject"], "{name}");
        says(&lake, &outcome, &format!("subject: choose among {among}"));
    }
    // Where an actor is all, what else may be reached is told.
    let (lake, outcome) = log(&["user_id"], vec![("actor", people()), ("target_id", people())]);
    assert_eq!(asked(&outcome), Vec::<String>::new());
    assert_eq!(mapping(&lake)["actor"], "actor");
    says(&lake, &outcome, "not mapped, and may be  subject");
    for (name, role) in [("sub", "subject"), ("principal", "actor")] {
        let (lake, _) = log(&["user_id"], vec![(name, people())]);
        assert_eq!(mapping(&lake)[role], name);
    }
}

#[test]
fn ids_that_a_run_refuses_are_told() {
    let ids: ArrayRef = Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64)));
    let (lake, outcome) = log(&[], vec![("user_id", ids)]);
    says(&lake, &outcome, "`user_id` (Float64, 20 different) has such a name");
    let (lake, outcome) = log(&[], vec![("user_id", in_turn(&["u1", "-", "anonymous", "u2"]))]);
    says(&lake, &outcome, "10 of its values are empty, -, or words such as anonymous");
    assert_eq!(mapping(&lake)["subject"], "user_id");
}

fn all_written(lake: &Lake) -> BTreeMap<String, String> {
    let names = ["afterscope.toml", "scopes.csv", "apps.csv", "sample.csv", "endpoints.csv"];
    let there = names.iter().filter(|name| lake.path(&format!("conf/{name}")).is_file());
    there.map(|name| ((*name).to_string(), text(lake, name))).collect()
}

#[test]
fn people_and_secrets_stand_in_none_of_the_files() {
    let people = || numbered(|row| format!("ada{}", row % 7));
    let calls = in_turn(&["/v1/users/ada-b/mail", "/v1/groups;jsessionid=ada9?x=ada", "/v1/me"]);
    let columns = vec![
        ("client_id", people()),
        ("user_id", people()),
        ("api_key", numbered(|row| format!("sk-ada-{row}"))),
        ("status", in_turn(&["ok", "denied for ada@example.com"])),
        ("path", calls),
    ];
    let (lake, outcome) = log(&["scope"], columns);
    for (name, text) in all_written(&lake) {
        assert!(!text.contains("ada"), "{name}\n{text}");
    }
    assert!(!outcome.stdout.contains("ada"), "{}", outcome.stdout);
    says(&lake, &outcome, "app (its values are those of the column of people)");
    assert_eq!(
        text(&lake, "endpoints.csv"),
        "method,path,scope\n,/v1/groups,\n,/v1/users/{id}/mail,\n,/v1/me,\n"
    );
    // Folders of people are counted.
    let lake = Lake::empty();
    for name in ["ada", "bo"] {
        let file = format!("logs/user_id={name}/a.parquet");
        lake.columns(&file, vec![("event_time", texts(&["2019-07-01T08:00:00Z"]))]);
    }
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert!(outcome.stdout.contains("folders  user_id: 2 values\n"), "{}", outcome.stdout);
}

#[test]
fn addresses_of_mail_and_names_are_people_whatever_stands_before() {
    for name in ["user_email", "principalEmail", "callerUserName", "username", "upn", "login"] {
        for end in ["", "@example.com"] {
            let people = numbered(|row| format!("ada{}{end}", row % 5));
            let (lake, outcome) = log(&["user_id"], vec![(name, people)]);
            assert_eq!(asked(&outcome), ["subject"], "{name}");
            says(&lake, &outcome, &format!("subject: choose among `{name}`"));
            for (file, text) in all_written(&lake) {
                assert!(!text.contains("ada"), "{file}\n{text}");
            }
        }
        // Beside an id they are told and keep nobody waiting.
        let people = numbered(|row| format!("ada{}", row % 5));
        let (lake, outcome) = log(&[], vec![(name, people)]);
        assert_eq!(asked(&outcome), Vec::<String>::new(), "{name}");
        assert_eq!(mapping(&lake)["subject"], "user_id");
        says(&lake, &outcome, &format!("subject = \"{name}\"  # Utf8, 5 different"));
    }
    let lake = Lake::empty();
    for name in ["ada", "bo"] {
        let file = format!("logs/user_email={name}/a.parquet");
        lake.columns(&file, vec![("event_time", texts(&["2019-07-01T08:00:00Z"]))]);
    }
    let outcome = init(&lake, "logs", &[]).succeeds();
    assert!(outcome.stdout.contains("folders  user_email: 2 values\n"), "{}", outcome.stdout);
}

#[test]
fn a_column_of_people_that_holds_outcomes_is_asked_about() {
    for name in ["user", "user_id", "actor"] {
        let (lake, outcome) = log(&["user_id"], vec![(name, in_turn(&["SUCCESS", "denied"]))]);
        let key = if name == "actor" { "actor" } else { "subject" };
        assert_eq!(asked(&outcome), [key], "{name}");
        says(&lake, &outcome, "its values are words that say how a call went, and name nobody");
    }
}

#[test]
fn a_column_of_outcomes_that_holds_people_is_not_written_down() {
    let people = || numbered(|row| format!("ada{}", row % 7));
    let sentences = numbered(|row| format!("no such right for ada{row} ever"));
    // As many as there are no outcomes.
    let many = || {
        let lake = Lake::empty();
        let rows = 0..60;
        let of = |text: fn(usize) -> String| -> ArrayRef {
            Arc::new(arrow::array::StringArray::from_iter_values(rows.clone().map(text)))
        };
        lake.columns(
            "logs/a.parquet",
            vec![
                ("event_time", of(|row| format!("2019-07-01T08:{row:02}:00Z"))),
                ("error_message", of(|row| format!("no such right for ada{row} ever"))),
            ],
        );
        let outcome = init(&lake, "logs", &[]).succeeds();
        (lake, outcome)
    };
    let of_people = log(&["status"], vec![("result", people()), ("user_id", people())]);
    for (lake, outcome) in [of_people, many()] {
        for (name, text) in all_written(&lake) {
            assert!(!text.contains("ada"), "{name}\n{text}");
        }
        assert!(!outcome.stdout.contains("ada"), "{}", outcome.stdout);
    }
    // A few are what somebody has to sort.
    let (lake, _) = log(&["status"], vec![("error_message", sentences)]);
    assert!(text(&lake, "sample.csv").contains("no such right for"));
}
