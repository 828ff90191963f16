//! What is said about objects.

use chordage_api::types::{
    ChunkExplained, ChunkNeed, EntryForm, EntryInfo, Explanation, FoundAtStart, Health, HolderCount,
    KeepState, KeptObject, ObjectForm, ObjectStat, Problem, ProblemCode, PutQuery, PutReport, ShardExplained,
    ShardWord, StartState, StartedWith,
};

use super::{Comparison, assert_reads_with_more, assert_reads_without, id};

pub(super) fn check(comparison: &mut Comparison) {
    comparison.check("object_stat", &stat());
    comparison.check("object_stat_bare", &ObjectStat { unknown: None, health: None, ..stat() });
    comparison.check("health", &health());
    let nobody = Health { holders: Vec::new(), weakest_holders: Vec::new(), ..health() };
    comparison.check("health_bare", &nobody);
    comparison.check("entry_info", &entry());
    let bare = EntryInfo {
        path_hex: None,
        target: None,
        target_hex: None,
        content: None,
        kind: EntryForm::File,
        ..entry()
    };
    comparison.check("entry_info_bare", &bare);
    comparison.check("explanation", &explanation());
    comparison.check("explanation_bare", &bare_explanation());
    comparison.check("kept_object", &kept());
    comparison.check("kept_object_bare", &KeptObject { names: Vec::new(), retained_until: None, ..kept() });
    comparison.check("put_report", &report());
    comparison.check("put_report_bare", &bare_report());
    comparison.check("put_query", &query());
    comparison.check("put_query_bare", &PutQuery::default());
    comparison.check("problem", &problem());
}

fn health() -> Health {
    Health {
        chunks: 7,
        full: 4,
        degraded: 2,
        unreadable: 1,
        shards_min: 3,
        best_unreadable: 3,
        k_unreadable: 4,
        holders: vec![HolderCount { id: id('a'), shards: 7 }, HolderCount { id: id('b'), shards: 6 }],
        weakest_holders: vec![id('a'), id('c')],
    }
}

fn stat() -> ObjectStat {
    ObjectStat {
        kind: ObjectForm::Tree,
        unknown: Some("the key is not known, and with it the files are not".to_owned()),
        bytes: 5_000_000_000,
        files: 12,
        dirs: 3,
        symlinks: 2,
        chunks: 7,
        k: 4,
        n: 10,
        health: Some(health()),
    }
}

fn entry() -> EntryInfo {
    EntryInfo {
        path: "docs/\u{fffd}".to_owned(),
        path_hex: Some("646f63732fff".to_owned()),
        kind: EntryForm::Symlink,
        bytes: 0,
        mode: 0o644,
        mtime_seconds: -1,
        mtime_nanos: 999_999_999,
        target: Some("\u{fffd}".to_owned()),
        target_hex: Some("fe".to_owned()),
        content: Some("0123456789abcdef".to_owned()),
    }
}

fn kept() -> KeptObject {
    KeptObject {
        verify_link: "chord1v-link".to_owned(),
        names: vec!["report.pdf".to_owned(), "the same".to_owned()],
        state: KeepState::Kept,
        put: true,
        since: 1_700_000_000,
        bytes: 1234,
        stored_bytes: 4321,
        chunks: 2,
        renewed: 1_700_000_100,
        until: 1_734_560_100,
        retained_until: Some(1_702_592_000),
    }
}

fn chunk() -> ChunkExplained {
    ChunkExplained {
        chunk: id('c'),
        k: 4,
        n: 10,
        present: 6,
        present_without_a_zone: 5,
        silent: 1,
        suspect: 1,
        lost: 2,
        repairs_at: 7,
        leader: Some(id('d')),
        surveyed_seconds_ago: Some(12.5),
        need: ChunkNeed::Repair,
        changes_in_seconds: Some(60.25),
        shards: vec![
            ShardExplained {
                index: 0,
                state: ShardWord::Lost,
                holder: Some("0123456789abcdef".parse().unwrap()),
                zone: Some("rack-1".to_owned()),
                missing_seconds: Some(3600.5),
            },
            bare_shard(),
        ],
    }
}

fn bare_shard() -> ShardExplained {
    ShardExplained { index: 1, state: ShardWord::Present, holder: None, zone: None, missing_seconds: None }
}

fn explanation() -> Explanation {
    Explanation {
        unknown: Some("only the chunks that are kept are known".to_owned()),
        chunks: 7,
        whole: 3,
        waiting: 1,
        to_repair: 2,
        hang_on_one_zone: 1,
        unreadable: 1,
        loss_per_year: 0.125,
        loss_is_floor: false,
        node_loss_per_month: 0.0625,
        observed_node_hours: 1000.5,
        observed_losses: 2,
        kept: Some(kept()),
        found_at_start: vec![FoundAtStart {
            what: StartedWith::Index,
            state: StartState::Damaged,
            message: "it was made again".to_owned(),
        }],
        worst: vec![chunk()],
    }
}

fn bare_explanation() -> Explanation {
    let chunk = ChunkExplained {
        leader: None,
        surveyed_seconds_ago: None,
        changes_in_seconds: None,
        shards: vec![bare_shard()],
        ..chunk()
    };
    Explanation {
        unknown: None,
        kept: None,
        found_at_start: Vec::new(),
        loss_per_year: 1e-9,
        loss_is_floor: true,
        worst: vec![chunk],
        ..explanation()
    }
}

fn report() -> PutReport {
    PutReport {
        link: "chord1r-link".to_owned(),
        verify_link: "chord1v-link".to_owned(),
        bytes: 1000,
        stored_bytes: 2500,
        sent_bytes: 2000,
        reused_bytes: 100,
        chunks: 3,
        new_chunks: 2,
        files: 5,
        unchanged_files: 1,
        unchanged_bytes: 50,
        k: 4,
        n: 10,
        acks_min: 8,
        degraded: true,
        less_than_before: Some("8/20".to_owned()),
        only_here: true,
        kept_since: Some(1_700_000_000),
        kept_as: vec!["yesterday.tar".to_owned()],
        seconds: 1.5,
    }
}

fn bare_report() -> PutReport {
    PutReport { less_than_before: None, kept_since: None, kept_as: Vec::new(), ..report() }
}

fn query() -> PutQuery {
    PutQuery {
        redundancy: Some("4/10".to_owned()),
        allow_degraded: true,
        reread: true,
        fingerprint: Some("f".repeat(64)),
        unchanged: true,
        name: Some("report.pdf".to_owned()),
    }
}

fn problem() -> Problem {
    Problem {
        code: ProblemCode::TooFewNodes,
        message: "4 live nodes, 6 wanted".to_owned(),
        state: "nothing was stored".to_owned(),
        hint: "start more daemons".to_owned(),
    }
}

#[test]
fn answers_of_older_and_newer_daemons_are_read() {
    assert_reads_without::<EntryInfo>(&entry(), &["mtime_nanos", "content"]);
    assert_reads_without::<Explanation>(&explanation(), &["hang_on_one_zone", "found_at_start"]);
    assert_reads_without::<ChunkExplained>(&chunk(), &["present_without_a_zone"]);
    let since = ["reused_bytes", "unchanged_files", "unchanged_bytes", "only_here", "kept_as"];
    assert_reads_without::<PutReport>(&report(), &since);
    assert_reads_with_more::<ObjectStat>(&stat());
    assert_reads_with_more::<EntryInfo>(&entry());
    assert_reads_with_more::<Explanation>(&explanation());
    assert_reads_with_more::<KeptObject>(&kept());
    assert_reads_with_more::<PutReport>(&report());
    assert_reads_with_more::<Problem>(&problem());
}
