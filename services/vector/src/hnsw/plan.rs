//! How a search is done, and when a graph is built. Pure.

use super::HnswConfig;

/// How many vectors there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Rows, dead ones included.
    pub(super) rows: usize,
    /// Rows that can be found.
    pub(super) live: usize,
    /// Rows from the first one that the graph knows.
    pub(super) graphed: usize,
}

/// How a search is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Look at every vector that may be found.
    Exact,
    /// Follow the graph with so many candidates, then drop what must not be found, and look at all that the graph does not know yet.
    Graph { breadth: usize },
}

/// `matches` are the vectors that the filter admits.
///
/// Following the graph takes about as long as looking at `exact_up_to` vectors, and longer by as much as the filter is narrower, since what it
/// passes by must be made up for. So looking at all matches is faster up to `matches² / live = exact_up_to`.
pub(super) fn search(exact_up_to: usize, breadth: usize, counts: Counts, matches: usize, limit: usize) -> Plan {
    let ungraphed = counts.rows.saturating_sub(counts.graphed);
    let exact = matches.saturating_mul(matches) <= exact_up_to.saturating_mul(counts.live.max(1));
    if exact || counts.graphed == 0 || ungraphed >= counts.rows / 2 || matches == 0 {
        return Plan::Exact;
    }
    // Dead rows take places among the candidates as those outside of the filter do.
    let wanted = breadth.max(limit.saturating_add(limit / 2));
    let breadth = wanted.saturating_mul(counts.rows) / matches;
    if breadth > counts.rows / 8 { Plan::Exact } else { Plan::Graph { breadth } }
}

/// What is to be done about the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing.
    None,
    /// Add the rows that it does not know.
    Grow,
    /// Build one of the rows that live.
    Build,
}

pub(super) fn work(config: &HnswConfig, counts: Counts) -> Work {
    let dead = counts.rows - counts.live;
    #[expect(clippy::cast_precision_loss, reason = "counts of vectors stay far below 2^52")]
    let removed = dead as f64 > config.most_removed * counts.rows as f64 && dead > 32;
    if counts.live <= config.exact_up_to {
        // Without a graph nothing leads through dead rows.
        return if removed || counts.graphed > 0 { Work::Build } else { Work::None };
    }
    match () {
        () if counts.graphed == 0 || removed => Work::Build,
        // A few rows are looked at one by one as fast.
        () if counts.rows - counts.graphed > config.exact_up_to / 16 => Work::Grow,
        () => Work::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: usize, live: usize, graphed: usize) -> Counts {
        Counts { rows, live, graphed }
    }

    fn plan(counts: Counts, matches: usize, limit: usize) -> Plan {
        search(20_000, 192, counts, matches, limit)
    }

    #[test]
    fn a_narrow_filter_or_a_small_set_is_looked_at_whole() {
        let all = counts(100_000, 100_000, 100_000);
        assert_eq!(plan(counts(20_000, 20_000, 20_000), 20_000, 10), Plan::Exact);
        assert_eq!(plan(all, 10_000, 10), Plan::Exact);
        assert_eq!(plan(all, 100_000, 10), Plan::Graph { breadth: 192 });
        assert_eq!(plan(all, 50_000, 10), Plan::Graph { breadth: 384 });
        assert_eq!(plan(counts(100_000, 100_000, 0), 100_000, 10), Plan::Exact, "no graph yet");
    }

    #[test]
    fn candidates_make_up_for_removed_rows() {
        assert_eq!(plan(counts(100_000, 80_000, 100_000), 80_000, 10), Plan::Graph { breadth: 240 });
        assert_eq!(plan(counts(100_000, 100_000, 100_000), 100_000, 1_000), Plan::Graph { breadth: 1_500 });
    }

    #[test]
    fn a_graph_is_built_when_there_is_much_and_anew_when_much_was_removed() {
        let config = HnswConfig { exact_up_to: 20_000, ..HnswConfig::default() };
        assert_eq!(work(&config, counts(20_000, 20_000, 0)), Work::None);
        assert_eq!(work(&config, counts(20_001, 20_001, 0)), Work::Build);
        assert_eq!(work(&config, counts(50_000, 50_000, 49_000)), Work::None);
        assert_eq!(work(&config, counts(50_000, 50_000, 40_000)), Work::Grow);
        assert_eq!(work(&config, counts(50_000, 39_000, 50_000)), Work::Build);
        assert_eq!(work(&config, counts(50_000, 10_000, 50_000)), Work::Build, "back to none");
    }
}
