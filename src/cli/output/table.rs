//! Go's `text/tabwriter` with podman's parameters: columns at least 12 wide, two blanks between, no tabs in the output.
//!
//! A cell is what a tab ends; what follows the last tab of a line is no cell and has no influence on a width.
//! A column is a run of neighbouring lines that have a cell there.

const MIN_WIDTH: usize = 12;
const PADDING: usize = 2;

/// Aligns the cells of `text`.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text
        .split('\n')
        .map(|line| line.split('\t').collect())
        .collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            let has_cell = |line: &Vec<usize>| line.len() > column;
            let length = widths[start..]
                .iter()
                .take_while(|line| has_cell(line))
                .count();
            let block = start..start + length;
            let width = lines[block.clone()]
                .iter()
                .map(|cells| cells[column].chars().count() + PADDING)
                .fold(MIN_WIDTH, usize::max);
            for line in &mut widths[block] {
                line[column] = width;
            }
            start += length + 1;
        }
    }
    let mut output = String::with_capacity(text.len() * 2);
    for (index, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if index > 0 {
            output.push('\n');
        }
        for (cell, width) in cells.iter().zip(widths) {
            output.push_str(cell);
            output.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        output.push_str(cells.last().copied().unwrap_or_default());
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_at_least_twelve_wide() {
        assert_eq!(
            align("NAME\tVM TYPE\tDISK SIZE\na-very-long-machine-name\tqemu\t100GiB\n"),
            "NAME                      VM TYPE     DISK SIZE\n\
             a-very-long-machine-name  qemu        100GiB\n"
        );
    }

    #[test]
    fn a_line_without_the_cell_ends_the_column() {
        assert_eq!(
            align("a\tb\nplain\naaaaaaaaaaaaaaaa\tb\n"),
            "a           b\nplain\naaaaaaaaaaaaaaaa  b\n"
        );
    }

    #[test]
    fn text_after_the_last_tab_has_no_width() {
        assert_eq!(
            align("a\tb\t\nc\td"),
            "a           b           \nc           d"
        );
    }

    #[test]
    fn characters_count_and_not_bytes() {
        assert_eq!(align("ä\tx\nbb\tx\n"), "ä           x\nbb          x\n");
    }
}
