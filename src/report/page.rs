//! HTML in the making. Fixed parts are literals of the program; everything else goes through one
//! function that escapes it, so that no text of a log can become markup.

use std::fmt::Write;

use super::text::{escape, shown, visible};

/// A document or a part of one.
#[derive(Debug, Default)]
pub struct Page {
    out: String,
}

impl Page {
    /// Markup. The compiler takes literals only.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// A text of the program or of a log, between tags or in a quoted attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
        escape(text, &mut self.out);
        self
    }

    /// A text of a log: hidden characters are written out, and its direction touches nothing else.
    pub fn name(&mut self, text: &str) -> &mut Self {
        self.raw("<bdi>").text(&shown(text)).raw("</bdi>")
    }

    /// Words of the program with names of a log in them, whole.
    pub fn sentence(&mut self, text: &str) -> &mut Self {
        self.raw("<bdi>").text(&visible(text)).raw("</bdi>")
    }

    /// A place in a drawing, to a tenth.
    pub fn at(&mut self, place: f64) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{place:.1}");
        self
    }

    /// JSON that holds no character with a meaning in HTML.
    pub fn json(&mut self, write: impl FnOnce(&mut String)) -> &mut Self {
        let mut json = String::new();
        write(&mut json);
        debug_assert!(!json.contains(['<', '>', '&']));
        self.out.push_str(&json);
        self
    }

    pub fn finish(self) -> String {
        self.out
    }
}
