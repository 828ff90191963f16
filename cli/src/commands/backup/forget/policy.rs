//! The policy on the command line.

use std::num::NonZeroU32;

use clap::Args;

use crate::backup::calendar::Period;
use crate::backup::filter::{Tags, tags};
use crate::backup::retention::{Bound, Every, Rule};

/// How many are kept; `None`: none, as if the flag were not there.
#[derive(Clone, Copy, Debug)]
struct Count(Option<Bound>);

/// What is kept.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Policy")]
pub(super) struct PolicyArgs {
    /// Keep the newest N snapshots, or `unlimited`
    #[arg(short = 'l', long, value_name = "N", value_parser = count, allow_hyphen_values = true)]
    keep_last: Option<Count>,
    /// Keep one of each of the last N hours
    ///
    /// The newest of each. Hours without a snapshot do not count. `unlimited` for all, here and below.
    #[arg(short = 'H', long, value_name = "N", value_parser = count, allow_hyphen_values = true)]
    keep_hourly: Option<Count>,
    /// The same for days
    #[arg(short = 'd', long, value_name = "N", value_parser = count, allow_hyphen_values = true)]
    keep_daily: Option<Count>,
    /// The same for weeks
    #[arg(short = 'w', long, value_name = "N", value_parser = count, allow_hyphen_values = true)]
    keep_weekly: Option<Count>,
    /// The same for months
    #[arg(short = 'm', long, value_name = "N", value_parser = count, allow_hyphen_values = true)]
    keep_monthly: Option<Count>,
    /// The same for years
    #[arg(short = 'y', long, value_name = "N", value_parser = count, allow_hyphen_values = true)]
    keep_yearly: Option<Count>,
    /// Keep all of the last PERIOD: 14d, 1y6m
    ///
    /// It ends with the newest snapshot. Written with y, m for months, d and h: 2d12h.
    #[arg(long, value_name = "PERIOD")]
    keep_within: Option<Period>,
    /// Keep the newest of each hour among these
    #[arg(long, value_name = "PERIOD", hide_short_help = true)]
    keep_within_hourly: Option<Period>,
    /// The same for days
    #[arg(long, value_name = "PERIOD", hide_short_help = true)]
    keep_within_daily: Option<Period>,
    /// The same for weeks
    #[arg(long, value_name = "PERIOD", hide_short_help = true)]
    keep_within_weekly: Option<Period>,
    /// The same for months
    #[arg(long, value_name = "PERIOD", hide_short_help = true)]
    keep_within_monthly: Option<Period>,
    /// The same for years
    #[arg(long, value_name = "PERIOD", hide_short_help = true)]
    keep_within_yearly: Option<Period>,
    /// Keep those with this tag; may be given again
    ///
    /// TAG,TAG: with all of them.
    #[arg(long, value_name = "TAG[,TAG]", value_parser = tags)]
    keep_tag: Vec<Tags>,
}

/// A number, or `unlimited`, as clap reads it.
fn count(text: &str) -> Result<Count, String> {
    match text {
        "unlimited" | "-1" => Ok(Count(Some(Bound::Unlimited))),
        number => match number.parse() {
            Ok(number) => Ok(Count(NonZeroU32::new(number).map(Bound::Count))),
            Err(_) => Err("this is a number, or `unlimited`".to_owned()),
        },
    }
}

impl PolicyArgs {
    /// Whether it has no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.rules().is_empty()
    }

    /// Its rules, in the order in which reasons are told.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let tagged = self.keep_tag.iter().cloned().map(Rule::Tagged);
        let within =
            |every, period: Option<Period>| period.map(|period| Rule::Newest(every, Bound::Within(period)));
        let counted = [
            (Every::Snapshot, self.keep_last),
            (Every::Hour, self.keep_hourly),
            (Every::Day, self.keep_daily),
            (Every::Week, self.keep_weekly),
            (Every::Month, self.keep_monthly),
            (Every::Year, self.keep_yearly),
        ];
        let counted = counted.into_iter().filter_map(|(every, bound)| Some(Rule::Newest(every, bound?.0?)));
        let all = within(Every::Snapshot, self.keep_within);
        let some = [
            within(Every::Hour, self.keep_within_hourly),
            within(Every::Day, self.keep_within_daily),
            within(Every::Week, self.keep_within_weekly),
            within(Every::Month, self.keep_within_monthly),
            within(Every::Year, self.keep_within_yearly),
        ];
        tagged.chain(all).chain(counted).chain(some.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        policy: PolicyArgs,
    }

    fn rules(flags: &str) -> Option<Vec<Rule>> {
        let line = Line::try_parse_from(["forget"].into_iter().chain(flags.split_whitespace())).ok()?;
        assert_eq!(line.policy.is_empty(), line.policy.rules().is_empty());
        Some(line.policy.rules())
    }

    #[test]
    fn flags_become_rules() {
        let seven = Bound::Count(NonZeroU32::new(7).unwrap());
        assert_eq!(rules(""), Some(Vec::new()));
        assert_eq!(rules("--keep-daily 0"), Some(Vec::new()));
        assert_eq!(
            rules(
                "--keep-daily 7 -y unlimited -l -1 --keep-within 1m --keep-within-daily 2d --keep-tag a,b --keep-tag c"
            ),
            Some(vec![
                Rule::Tagged(tags("a,b").unwrap()),
                Rule::Tagged(tags("c").unwrap()),
                Rule::Newest(Every::Snapshot, Bound::Within("1m".parse().unwrap())),
                Rule::Newest(Every::Snapshot, Bound::Unlimited),
                Rule::Newest(Every::Day, seven),
                Rule::Newest(Every::Year, Bound::Unlimited),
                Rule::Newest(Every::Day, Bound::Within("2d".parse().unwrap())),
            ])
        );
        for wrong in
            ["--keep-daily", "--keep-daily -2", "--keep-daily x", "--keep-within 3", "--keep-within 1w"]
        {
            assert_eq!(rules(wrong), None, "{wrong}");
        }
    }
}
