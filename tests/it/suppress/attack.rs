//! A reader who knows what adds up to what, and takes every published figure away from every other. It knows
//! nothing of the program but what its tables mean.

use std::collections::BTreeMap;
use std::path::Path;

use super::no_small_count;
use crate::lake::{Lake, Published, Table};

const ALL: &str = "(all)";

/// Scope, app, developer; `-` where the grain has no such part.
type Place = [String; 3];

/// Place, part (a window, a day, a place where people live), what is counted.
type Key = (Place, String, String);

/// The true value, and whether the masked run hides it.
type Figure = (i64, bool);

/// Every figure of a run, read from its tables.
#[derive(Default)]
struct Book {
    figures: BTreeMap<Key, Figure>,
    developer_of: BTreeMap<String, String>,
}

/// Columns of exposure: window and what is counted.
fn exposure(column: &str) -> Option<(String, String)> {
    let (counted, window) = match column {
        "subjects_observed" => ("subjects", "after"),
        "subjects_upper_bound" => ("upper", "after"),
        "actors" => ("actors", "after"),
        "groups" => ("groups", "after"),
        "records" => ("records", "after"),
        "requests_allowed" => ("requests", "after"),
        "requests_denied" => ("denied", "after"),
        "requests_unknown" => ("unknown", "after"),
        "requests_held_only" => ("held", "after"),
        _ if column.starts_with("subjects_unknown_rows") => return None,
        _ if column.starts_with("subjects_upper_bound_") => {
            ("upper", column.strip_prefix("subjects_upper_bound_")?)
        }
        _ => column
            .split_once('_')
            .filter(|(counted, _)| ["subjects", "requests", "groups"].contains(counted))?,
    };
    Some((window.to_string(), counted.to_string()))
}

impl Book {
    fn tell(&mut self, key: Key, truth: &str, told: &str) {
        if truth == "null" {
            return;
        }
        assert!(told == "null" || told == truth, "{key:?} is {truth} and told as {told}");
        let figure = (truth.parse().unwrap(), told == "null");
        let known = self.figures.insert(key.clone(), figure);
        // The same figure in two tables.
        assert!(known.is_none_or(|known| known == figure), "{key:?}: {known:?} and {figure:?}");
    }

    fn read(plain: &Published, masked: &Published) -> Self {
        let mut book = Self::default();
        for table in
            ["scope_summary", "app_scope_exposure", "developer_exposure", "data_categories"]
        {
            book.table(table, plain, masked, |_, _, column| exposure(column));
        }
        book.table("findings", plain, masked, |table, row, column| {
            let window = match table.column("finding")[row] {
                "without_grant" => "after".to_string(),
                window => window.to_string(),
            };
            let counted = match column {
                "subjects_observed" => "subjects",
                "subjects_upper_bound" => "upper",
                "requests_allowed" => "requests",
                "groups" => "groups",
                _ => return None,
            };
            Some((window, counted.to_string()))
        });
        book.table("daily_timeline", plain, masked, |table, row, column| {
            let counted = match column {
                "subjects_observed" => "subjects",
                "subjects_new" => "new",
                "requests_allowed" => "requests",
                _ => return None,
            };
            Some((format!("day {}", table.column("day")[row]), counted.to_string()))
        });
        book.table("subjects_by_jurisdiction", plain, masked, |table, row, column| {
            let counted = match column {
                "subjects_observed" => "subjects",
                "subjects_upper_bound" => "upper",
                _ => return None,
            };
            let home = ["is_known", "country", "subdivision", "category"];
            let home = home.map(|name| table.column(name)[row]).join("|");
            Some((format!("home {home}"), counted.to_string()))
        });
        book.table("groups_exposed", plain, masked, |table, row, column| {
            let counted = match column {
                "subjects_observed" => "subjects",
                "members_then" => "members",
                "requests_allowed" => "requests",
                _ => return None,
            };
            Some((format!("group {}", table.column("group_id")[row]), counted.to_string()))
        });
        let apps = plain.table("app_scope_exposure");
        for row in 0..apps.rows.len() {
            if apps.column("grain")[row] == "app" {
                let of = |name: &str| apps.column(name)[row].to_string();
                book.developer_of.insert(of("app_id"), of("developer_id"));
            }
        }
        book
    }

    fn table(
        &mut self,
        name: &str,
        plain: &Published,
        masked: &Published,
        what: impl Fn(&Table, usize, &str) -> Option<(String, String)>,
    ) {
        let (plain, masked) = (plain.table(name), masked.table(name));
        assert_eq!(plain.rows.len(), masked.rows.len());
        let at = |name: &str| plain.columns.iter().position(|column| column == name);
        for row in 0..plain.rows.len() {
            let key = |name: &str| at(name).map_or("-".into(), |at| plain.rows[row][at].clone());
            let place = match key("grain").as_str() {
                "developer" | "scope_developer" => [key("scope"), "-".into(), key("developer_id")],
                // A scope's row has no app in scope_summary, and `(all)` in others.
                "scope" | "all" | "scope_category" | "scope_group" | "scope_rest" => {
                    [key("scope"), ALL.into(), "-".into()]
                }
                _ => [key("scope"), key("app_id"), "-".into()],
            };
            for (at, column) in plain.columns.iter().enumerate() {
                if let Some((part, counted)) = what(&plain, row, column) {
                    let (truth, told) = (&plain.rows[row][at], &masked.rows[row][at]);
                    self.tell((place.clone(), part, counted), truth, told);
                }
            }
        }
    }

    /// A parent less all children but one.
    fn cannot_solve(&self, n: i64, what: &str, parent: Figure, children: &[Figure]) {
        let told: Vec<&Figure> = children.iter().filter(|child| child.0 != 0).collect();
        if parent.0 == 0 || told.is_empty() {
            return;
        }
        let hidden: Vec<&&Figure> = told.iter().filter(|child| child.1).collect();
        let all = hidden.len() + usize::from(parent.1);
        assert_ne!(all, 1, "{what}: {parent:?} of {told:?}");
        if !parent.1 && !hidden.is_empty() {
            // What is left is a count of people, too.
            let left: i64 = hidden.iter().map(|child| child.0).sum();
            assert!(left >= n, "{what}: {parent:?} of {told:?}");
        }
    }

    fn sums(&self, n: i64) -> usize {
        let mut tried = 0;
        let mut families: BTreeMap<(&String, &String), Vec<(&Place, Figure)>> = BTreeMap::new();
        for ((place, part, counted), figure) in &self.figures {
            families.entry((part, counted)).or_default().push((place, *figure));
        }
        for ((part, counted), rows) in families {
            let has_developers = rows.iter().any(|(place, _)| place[2] != "-");
            let no_developer =
                |app: &String| self.developer_of.get(app).is_none_or(|known| known == "null");
            for (parent, figure) in &rows {
                let [scope, app, developer] = parent;
                let mut sums: Vec<(&str, Vec<Figure>)> = Vec::new();
                let mut sum = |name, fits: &dyn Fn(&Place) -> bool| {
                    let children = rows.iter().filter(|(place, _)| fits(place)).map(|r| r.1);
                    sums.push((name, children.collect()));
                };
                match (scope.as_str(), app.as_str(), developer.as_str()) {
                    (ALL, ALL, "-") => {
                        sum("scopes", &|p| p[0] != ALL && p[1] == ALL && p[2] == "-");
                        sum("apps", &|p| p[0] == ALL && p[1] != ALL && p[1] != "-" && p[2] == "-");
                        if has_developers {
                            sum("developers", &|p| {
                                p[0] == ALL && (p[2] != "-" || p[1] != ALL && no_developer(&p[1]))
                            });
                        }
                    }
                    (_, ALL, "-") => {
                        sum("apps of a scope", &|p| p[0] == *scope && p[1] != ALL && p[2] == "-");
                        if has_developers {
                            sum("developers of a scope", &|p| {
                                let own = p[2] != "-" || p[1] != ALL && no_developer(&p[1]);
                                p[0] == *scope && own
                            });
                        }
                    }
                    (ALL, _, "-") => sum("scopes of an app", &|p| p[0] != ALL && p[1] == *app),
                    (_, "-", _) => {
                        sum("apps of a developer", &|p| {
                            p[0] == *scope && self.developer_of.get(&p[1]) == Some(developer)
                        });
                        if scope == ALL {
                            sum("scopes of a developer", &|p| p[0] != ALL && p[2] == *developer);
                        }
                    }
                    _ => {}
                }
                for (name, children) in sums {
                    self.cannot_solve(
                        n,
                        &format!("{name} {part} {counted} {parent:?}"),
                        *figure,
                        &children,
                    );
                    tried += 1;
                }
            }
        }
        tried + self.parts(n)
    }

    /// What one place is made of.
    fn parts(&self, n: i64) -> usize {
        let mut by_place: BTreeMap<&Place, Vec<(&str, &str, Figure)>> = BTreeMap::new();
        for ((place, part, counted), figure) in &self.figures {
            by_place.entry(place).or_default().push((part, counted, *figure));
        }
        let mut tried = 0;
        for (place, rows) in by_place {
            let find = |part: &str, counted: &str| {
                rows.iter().find(|row| (row.0, row.1) == (part, counted)).map(|row| row.2)
            };
            let of = |start: &str, counted: &str| -> Vec<Figure> {
                let fits =
                    |row: &&(&str, &str, Figure)| row.0.starts_with(start) && row.1 == counted;
                rows.iter().filter(fits).map(|row| row.2).collect()
            };
            for (whole, start, counted) in [
                ("subjects", "day", "new"),
                ("subjects", "day", "subjects"),
                ("requests", "day", "requests"),
                ("subjects", "home", "subjects"),
                ("upper", "home", "upper"),
                ("requests", "group", "requests"),
                ("subjects", "group", "subjects"),
                ("upper", "group", "members"),
            ] {
                if let Some(parent) = find("after", whole) {
                    self.cannot_solve(
                        n,
                        &format!("{start} {counted} {place:?}"),
                        parent,
                        &of(start, counted),
                    );
                    tried += 1;
                }
            }
            for counted in ["subjects", "requests"] {
                if let (Some(all), Some(within), Some(after)) = (
                    find("after", counted),
                    find("in_grace", counted),
                    find("after_grace", counted),
                ) {
                    self.cannot_solve(n, &format!("grace {place:?}"), all, &[within, after]);
                    tried += 1;
                }
            }
        }
        tried
    }
}

/// A total of running totals less the one before is who is new; the last is the figure of all.
fn running_totals(plain: &Published, masked: &Published, book: &Book) {
    let (plain, masked) = (plain.table("daily_timeline"), masked.table("daily_timeline"));
    let of = |table: &Table, name: &str| -> Vec<String> {
        table.column(name).into_iter().map(String::from).collect()
    };
    let series: Vec<[String; 2]> =
        of(&plain, "scope").into_iter().zip(of(&plain, "app_id")).map(|(a, b)| [a, b]).collect();
    let (told, new) = (of(&masked, "subjects_cumulative"), of(&masked, "subjects_new"));
    let mut hidden: BTreeMap<&[String; 2], bool> = BTreeMap::new();
    for (series, new) in series.iter().zip(&new) {
        *hidden.entry(series).or_default() |= new == "null";
    }
    for row in 0..told.len() {
        let last = series.get(row + 1) != Some(&series[row]);
        if last {
            let place = [series[row][0].clone(), series[row][1].clone(), "-".to_string()];
            let whole = book.figures[&(place, "after".into(), "subjects".into())];
            assert_eq!(told[row] == "null", whole.1, "{:?}", series[row]);
        } else {
            assert_eq!(told[row] == "null", hidden[&series[row]], "{:?}", series[row]);
        }
    }
}

fn attack(lake: &Lake, config: &str, as_of: &str, n: i64) -> usize {
    let set = format!("report.suppress_below={n}");
    let run = |more: &[&str]| {
        let args = ["run", "--config", config, "--as-of", as_of, "--output", "attacked"];
        lake.afterscope(&[&args, more].concat()).succeeds().published()
    };
    let (plain, masked) = (run(&[]), run(&["--set", &set]));
    no_small_count(lake, &masked, n);
    let book = Book::read(&plain, &masked);
    assert!(book.figures.values().any(|figure| figure.1), "nothing is masked");
    running_totals(&plain, &masked, &book);
    book.sums(n)
}

#[test]
fn a_reader_who_subtracts_finds_no_masked_figure_of_a_small_lake() {
    let lake = Lake::with_all();
    for n in 2..=6 {
        let tried = attack(&lake, "afterscope.toml", crate::lake::AS_OF, n);
        assert!(tried > 200, "{tried}");
    }
}

#[test]
fn a_reader_who_subtracts_finds_no_masked_figure_of_the_sample() {
    let config =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples/groups-2019/afterscope.toml");
    let lake = Lake::empty();
    for n in [5, 20] {
        let tried = attack(&lake, config.to_str().unwrap(), "2019-11-06T00:00:00Z", n);
        assert!(tried > 5_000, "{tried}");
    }
}
