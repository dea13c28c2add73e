//! The timeline of a scope: people so far and requests by week, with restriction, grace and promises
//! of deletion drawn in. Plain SVG; the same figures stand below it by month.

use chrono::{DateTime, Datelike, Utc};

use super::kept::{Day, Graces, monday, week_of};
use super::page::Page;
use super::text::{count, day_in_words, number};
use super::words::told;
use crate::moment::{DAY_MICROS, day_to_date};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 264.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 44.0;

/// What one chart shows. Moments are microseconds.
pub struct Chart<'a> {
    pub id: usize,
    pub title: String,
    pub days: &'a [Day],
    pub restricted_at: Option<i64>,
    pub graces: Option<Graces>,
    /// Moments of promises of deletion.
    pub promises: Vec<i64>,
    pub lookback_from: i64,
    pub as_of: i64,
}

struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    fn x(&self, micros: i64) -> f64 {
        let part = (micros as f64 - self.from) / (self.to - self.from).max(1.0);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

fn y(value: i64, most: i64) -> f64 {
    HEIGHT - BOTTOM - value as f64 / most.max(1) as f64 * (HEIGHT - TOP - BOTTOM)
}

impl Chart<'_> {
    pub fn render(&self, page: &mut Page) {
        let first = self.days.first().map_or(self.as_of, |d| d.day.saturating_mul(DAY_MICROS));
        let begin = self.restricted_at.map_or(first, |at| at.min(first));
        // A little room, so that the line of the restriction is not the axis.
        let room = (self.as_of.saturating_sub(begin) / 50).max(DAY_MICROS);
        let scale = Scale { from: begin.saturating_sub(room) as f64, to: self.as_of as f64 };
        let weeks = by_week(self.days);
        let most = weeks.iter().map(|w| w.1).max().unwrap_or(0).max(1);
        let people = self.days.last().and_then(|d| d.cumulative);
        page.raw("<figure class=\"chart\"><figcaption><b>")
            .name(&self.title)
            .raw("</b></figcaption>\n");
        page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Chart: ");
        page.text(&super::text::shown(&self.title))
            .raw("\">\n<svg viewBox=\"0 0 960 264\" role=\"img\" aria-labelledby=\"");
        self.part(page, "t").raw(" ");
        self.part(page, "x").raw("\"><title id=\"");
        self.part(page, "t").raw("\">").text(&super::text::shown(&self.title));
        page.raw("</title><desc id=\"");
        self.part(page, "x").raw("\">").text(&self.described(people, most)).raw("</desc>\n");
        self.background(page, &scale);
        // Without a line there is nothing to measure.
        let told = self.days.iter().all(|day| day.cumulative.is_some());
        let people = people.filter(|_| told);
        axes(page, &scale, people.map(|people| people.max(1)), most);
        bars(page, &scale, &weeks, most);
        if let Some(people) = people {
            self.line(page, &scale, people.max(1));
        }
        self.marks(page, &scale);
        page.raw("</svg></div>\n");
        self.months(page);
        page.raw("</figure>\n");
    }

    /// An id of this chart.
    fn part<'p>(&self, page: &'p mut Page, part: &'static str) -> &'p mut Page {
        page.raw("chart-").text(&self.id.to_string()).raw("-").raw(part)
    }

    fn described(&self, people: Option<i64>, most: i64) -> String {
        let people = match people {
            Some(people) => count(people, "person", "people"),
            None => "a number of people that is left out".to_string(),
        };
        let mut text = format!(
            "From {} to {}: {people} observed in all",
            self.days.first().map_or_else(String::new, |d| day_to_date(d.day)),
            self.days.last().map_or_else(String::new, |d| day_to_date(d.day)),
        );
        text += &match self.days.iter().all(|day| day.requests.is_some()) {
            true => format!("; at most {} in a week.", count(most, "request", "requests")),
            false => "; requests of some days are left out.".to_string(),
        };
        if let Some(at) = self.restricted_at {
            text.push_str(&format!(" Restricted on {}.", day_in_words(at)));
        }
        if let Some(graces) = self.graces {
            text.push_str(&format!(" {}.", grace_words(&graces)));
        }
        if !self.promises.is_empty() {
            let promises = count(self.promises.len() as i64, "promise", "promises");
            text.push_str(&format!(" {promises} of deletion are marked."));
        }
        text
    }

    fn background(&self, page: &mut Page, scale: &Scale) {
        let top = TOP;
        let height = HEIGHT - TOP - BOTTOM;
        if let (Some(graces), Some(at)) = (self.graces, self.restricted_at) {
            // Until the first app's grace ends all of them have it, then fewer and fewer.
            let from = scale.x(at);
            rect(page, "grace", from, top, scale.x(graces.last) - from, height);
            rect(page, "grace all", from, top, scale.x(graces.first) - from, height);
        }
        let from = scale.x(self.lookback_from);
        rect(page, "lookback", from, top, scale.x(self.as_of) - from, height);
    }

    fn line(&self, page: &mut Page, scale: &Scale, people: i64) {
        let Some(first) = self.days.first() else { return };
        page.raw("<path class=\"line\" d=\"M").at(scale.x(first.day.saturating_mul(DAY_MICROS)));
        page.raw(" ").at(y(0, people));
        let mut last = None;
        for day in self.days {
            // Days that change nothing need no point.
            let Some(cumulative) = day.cumulative.filter(|now| last != Some(*now)) else {
                continue;
            };
            let x = scale.x(day.day.saturating_mul(DAY_MICROS));
            page.raw("H").at(x).raw("V").at(y(cumulative, people));
            last = Some(cumulative);
        }
        page.raw("H").at(scale.x(self.as_of)).raw("\"/>\n");
    }

    fn marks(&self, page: &mut Page, scale: &Scale) {
        if let Some(at) = self.restricted_at {
            let x = scale.x(at);
            page.raw("<path class=\"mark\" d=\"M").at(x).raw(" ").at(TOP - 6.0);
            page.raw("V").at(HEIGHT - BOTTOM).raw("\"/>\n");
            let mut text = format!("restricted {}", day_in_words(at));
            if let Some(graces) = self.graces {
                text.push_str("; ");
                text.push_str(&grace_words(&graces));
            }
            label(page, "start", LEFT, TOP - 12.0, &text);
        }
        label(page, "end", WIDTH - RIGHT - 8.0, TOP - 12.0, "lookback");
        let base = HEIGHT - BOTTOM;
        for at in &self.promises {
            let x = scale.x(*at);
            page.raw("<path class=\"promise\" d=\"M").at(x).raw(" ").at(base - 1.0);
            page.raw("l-5 -9h10z\"><title>Promise of deletion, ").text(&day_in_words(*at));
            page.raw("</title></path>\n");
        }
    }

    /// The chart's figures as a table, for those who do not see it.
    fn months(&self, page: &mut Page) {
        page.raw("<details><summary>The figures of this chart, by month</summary>\n");
        page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Figures by month\"><table><thead><tr>");
        page.raw(
            "<th scope=\"col\">Month</th><th scope=\"col\" class=\"n\">Requests let through</th>",
        );
        page.raw("<th scope=\"col\" class=\"n\">People observed so far</th></tr></thead><tbody>\n");
        let mut months: Vec<(String, Option<i64>, Option<i64>)> = Vec::new();
        for day in self.days {
            let month: String = day_to_date(day.day).chars().take(7).collect();
            match months.last_mut() {
                Some((same, requests, people)) if *same == month => {
                    *requests = both(*requests, day.requests);
                    *people = day.cumulative;
                }
                _ => months.push((month, day.requests, day.cumulative)),
            }
        }
        for (month, requests, people) in months {
            page.raw("<tr><th scope=\"row\">").text(&month).raw("</th><td class=\"n\">");
            page.text(&told(requests)).raw("</td><td class=\"n\">").text(&told(people));
            page.raw("</td></tr>\n");
        }
        page.raw("</tbody></table></div></details>\n");
    }
}

fn grace_words(graces: &Graces) -> String {
    let given = count(graces.given as i64, "extension", "extensions");
    let (first, last) = (day_in_words(graces.first), day_in_words(graces.last));
    if first == last {
        format!("{given}: grace ends {last}")
    } else {
        format!("{given}: grace ends {first} to {last}")
    }
}

/// A sum of which a part is left out is left out.
fn both(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    Some(a?.saturating_add(b?))
}

/// Weeks and their requests; those of which a day is left out are left out.
fn by_week(days: &[Day]) -> Vec<(i64, i64)> {
    let mut weeks: Vec<(i64, Option<i64>)> = Vec::new();
    for day in days {
        let week = week_of(day.day);
        match weeks.last_mut() {
            Some((same, sum)) if *same == week => *sum = both(*sum, day.requests),
            _ => weeks.push((week, day.requests)),
        }
    }
    weeks.into_iter().filter_map(|(week, requests)| Some((week, requests?))).collect()
}

fn rect(page: &mut Page, class: &'static str, x: f64, y: f64, width: f64, height: f64) {
    page.raw("<rect class=\"").raw(class).raw("\" x=\"").at(x).raw("\" y=\"").at(y);
    page.raw("\" width=\"").at(width.max(0.0)).raw("\" height=\"").at(height).raw("\"/>\n");
}

fn label(page: &mut Page, anchor: &'static str, x: f64, y: f64, text: &str) {
    page.raw("<text text-anchor=\"").raw(anchor).raw("\" x=\"").at(x).raw("\" y=\"").at(y);
    page.raw("\">").text(text).raw("</text>\n");
}

fn axes(page: &mut Page, scale: &Scale, people: Option<i64>, most: i64) {
    for part in 0..=2_i64 {
        let height = y(part, 2);
        page.raw("<path class=\"axis\" d=\"M").at(LEFT).raw(" ").at(height);
        page.raw("H").at(WIDTH - RIGHT).raw("\"/>\n");
        // Where half of it is no whole number there is no mark for it.
        if let Some(people) = people
            && (part != 1 || people % 2 == 0)
        {
            label(
                page,
                "end",
                LEFT - 6.0,
                height + 4.0,
                &number(people / 2 * part + people % 2 * (part / 2)),
            );
        }
        if part != 1 || most % 2 == 0 {
            label(
                page,
                "start",
                WIDTH - RIGHT + 6.0,
                height + 4.0,
                &number(most / 2 * part + most % 2 * (part / 2)),
            );
        }
    }
    label(page, "end", LEFT - 6.0, TOP - 12.0, "people");
    label(page, "start", WIDTH - RIGHT + 6.0, TOP - 12.0, "requests");
    for (at, text) in months_on_axis(scale.from as i64, scale.to as i64) {
        let x = scale.x(at);
        page.raw("<path class=\"axis\" d=\"M").at(x).raw(" ").at(HEIGHT - BOTTOM);
        page.raw("v5\"/>\n");
        label(page, "middle", x, HEIGHT - BOTTOM + 20.0, &text);
    }
}

/// Firsts of months, at most twelve, and their names.
fn months_on_axis(from: i64, to: i64) -> Vec<(i64, String)> {
    let at = DateTime::<Utc>::from_timestamp_micros;
    let (Some(first), Some(last)) = (at(from), at(to)) else { return Vec::new() };
    let month_of = |t: DateTime<Utc>| i64::from(t.year()) * 12 + i64::from(t.month0());
    let months = month_of(last) - month_of(first);
    let steps = [1, 2, 3, 6, 12, 24, 60, 120, 600, 1_200];
    let step = steps.into_iter().find(|s| months / s <= 11).unwrap_or(12_000);
    (month_of(first) + 1..=month_of(last))
        .filter(|month| month % step == 0)
        .filter_map(|month| {
            let (year, month) =
                (i32::try_from(month.div_euclid(12)).ok()?, month.rem_euclid(12) + 1);
            let day = chrono::NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, 1)?;
            let moment = day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros();
            Some((moment, day.format("%b %Y").to_string()))
        })
        .collect()
}

fn bars(page: &mut Page, scale: &Scale, weeks: &[(i64, i64)], most: i64) {
    page.raw("<path class=\"bars\" d=\"");
    for (week, requests) in weeks.iter().filter(|w| w.1 > 0) {
        let start = monday(*week).saturating_mul(DAY_MICROS);
        let (from, to) = (scale.x(start), scale.x(start.saturating_add(7 * DAY_MICROS)));
        // A gap between bars where there is room for one.
        let width = if to - from > 4.0 { to - from - 1.0 } else { to - from };
        page.raw("M").at(from).raw(" ").at(HEIGHT - BOTTOM).raw("V").at(y(*requests, most));
        page.raw("h").at(width.max(0.5)).raw("V").at(HEIGHT - BOTTOM).raw("z");
    }
    page.raw("\"/>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_of_which_a_day_is_left_out_is_no_week_without_calls() {
        let day = |day, requests| Day { day, requests, people: 0, cumulative: None };
        // Two weeks: 1970-01-05 was a Monday.
        let days = [day(4, Some(3)), day(5, None), day(11, Some(2)), day(12, Some(5))];
        assert_eq!(by_week(&days), [(week_of(11), 7)]);
    }
}
