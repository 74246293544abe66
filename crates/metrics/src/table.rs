//! One table, written as text, Markdown, CSV or HTML.

/// Cells by row; `None` is undefined.
pub(crate) struct Table {
    /// How many columns, from the left, are words and not numbers.
    words: usize,
    header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// The row before which text leaves a line free.
    pub(crate) gap: Option<usize>,
}

impl Table {
    pub(crate) fn new(words: usize, header: Vec<&'static str>) -> Self {
        Self { words, header, rows: Vec::new(), gap: None }
    }

    pub(crate) fn text(&self) -> String {
        let shown = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "n/a".to_owned());
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| shown(&row[column]).chars().count());
            cells.chain([self.header[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let mut out = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            let padded: Vec<String> = cells
                .zip(&widths)
                .enumerate()
                .map(
                    |(i, (cell, &w))| {
                        if i < self.words { format!("{cell:<w$}") } else { format!("{cell:>w$}") }
                    },
                )
                .collect();
            out.push_str(padded.join("  ").trim_end());
            out.push('\n');
        };
        line(&mut self.header.iter().map(|&name| name.to_owned()));
        for (i, row) in self.rows.iter().enumerate() {
            if self.gap == Some(i) {
                line(&mut std::iter::empty());
            }
            line(&mut row.iter().map(shown));
        }
        out
    }

    pub(crate) fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = |i| if i < self.words { "---" } else { "---:" }.to_owned();
        let mut out = line(self.header.iter().map(|&name| name.to_owned()).collect());
        out.push_str(&line((0..self.header.len()).map(rule).collect()));
        for row in &self.rows {
            let cell = |cell: &Option<String>| {
                let text = cell.as_deref().unwrap_or("n/a");
                text.replace('\\', "\\\\").replace('|', "\\|").replace('\n', " ")
            };
            out.push_str(&line(row.iter().map(cell).collect()));
        }
        out
    }

    pub(crate) fn csv(&self) -> String {
        let mut out = self.header.join(",") + "\n";
        for row in &self.rows {
            let cell = |cell: &Option<String>| {
                let text = cell.as_deref().unwrap_or_default();
                if text.contains([',', '"', '\n', '\r']) {
                    format!("\"{}\"", text.replace('"', "\"\""))
                } else {
                    text.to_owned()
                }
            };
            out.push_str(&row.iter().map(cell).collect::<Vec<_>>().join(","));
            out.push('\n');
        }
        out
    }

    pub(crate) fn html(&self) -> String {
        let mut out = String::from("<table><tr>");
        for name in &self.header {
            out.push_str(&format!("<th>{name}</th>"));
        }
        out.push_str("</tr>");
        for row in &self.rows {
            out.push_str("<tr>");
            for cell in row {
                let text = cell.as_deref().unwrap_or("n/a");
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                out.push_str(&format!("<td>{text}</td>"));
            }
            out.push_str("</tr>");
        }
        out + "</table>"
    }
}
