//! Makes a test of every case.

use crate::Place;
use crate::place::Later;

/// Makes a test of every case of the suite for a [`Harness`](crate::Harness), in modules named
/// after their groups, and one for each of 20 seeds of random operations.
#[macro_export]
macro_rules! conformance {
    ($harness:ty) => {
        $crate::every_case! { conformance_groups $harness }
        $crate::conformance_random! { $harness;
            seed_01: 1, seed_02: 2, seed_03: 3, seed_04: 4, seed_05: 5, seed_06: 6, seed_07: 7,
            seed_08: 8, seed_09: 9, seed_10: 10, seed_11: 11, seed_12: 12, seed_13: 13,
            seed_14: 14, seed_15: 15, seed_16: 16, seed_17: 17, seed_18: 18, seed_19: 19,
            seed_20: 20,
        }
    };
}

/// All cases, by group, for another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! every_case {
    ($then:ident $($given:ty)?) => {
        $crate::$then! { $($given)?;
            config: new_ones_are_made_in_order declaring_again_changes_nothing
                settings_and_provider_follow_the_file absent_endpoints_are_removed
                absent_sources_take_their_endpoints_along what_comes_back_is_the_same
                paused_and_disabled_survive_a_declaration enabling_forgets_failures
                secrets_rotate unknown_endpoints_are_not_there owners_do_not_share_names
                settings_hold_their_first_value settings_are_overwritten settings_have_one_winner
                configuration_survives_a_crash;
            applications: what_was_made_is_found sources_are_found_by_their_short_id
                a_name_is_taken_once a_name_has_one_winner applications_are_sliced
                applications_are_changed changes_are_made_of_what_was_read
                removed_applications_are_gone
                removal_takes_documents_along removal_leaves_events_alone
                declaring_leaves_the_rest_alone a_declared_source_becomes_the_files
                a_declared_name_means_who_has_it owners_are_listed applications_take_events
                applications_survive_a_crash;
            endpoints: what_was_made_is_found a_name_is_taken_once a_name_has_one_winner
                endpoints_are_sliced endpoints_are_edited edits_are_made_of_what_was_read
                an_edit_has_one_winner headers_are_replaced
                removed_endpoints_are_gone dropped_endpoints_are_still_noted
                owners_have_their_own_endpoints endpoints_survive_a_crash;
            documents: documents_come_back names_have_three_parts conditions_are_kept
                a_revision_has_one_winner expired_documents_are_not_there
                sweeping_takes_the_expired documents_are_sliced unique_names_are_found
                a_place_has_to_be_there documents_survive_a_crash;
            envelopes: envelopes_are_told_with_their_places
                envelopes_are_replaced_until_none_is_left
                envelopes_are_compared_before_they_are_replaced changed_envelopes_are_left_alone;
            accept: ids_rise ids_rise_across_a_crash without_a_key_every_request_is_an_event
                a_repeat_answers_with_the_first_id a_repeat_is_found_behind_others
                the_same_key_in_another_source_is_another_event the_window_counts_from_the_first
                after_the_window_repeats_refer_to_the_new_event each_kind_has_its_window
                repeats_are_found_when_the_clock_steps_back a_thousand_at_once_make_one_event
                many_at_once_are_all_stored repeats_are_found_after_a_crash;
            events: the_row_says_what_was_accepted the_plainest_events_come_back
                deliveries_stand_in_their_planned_order an_empty_request_comes_back
                a_mebibyte_comes_back odd_headers_come_back unknown_events_are_not_there;
            filters: filtered_endpoints_get_no_delivery filters_are_kept;
            lists: newest_come_first filter_by_type filter_by_state filter_by_endpoint
                filter_by_disposition filter_by_time filter_by_dedupe_key filter_by_channel
                filter_by_tag filters_combine
                sparse_filters_fill_their_pages pages_down_show_everything_once
                pages_up_show_everything_once a_page_may_begin_anywhere;
            searches: a_search_goes_on_where_it_stopped searches_look_into_records
                filter_by_verdict waiting_deliveries_are_counted;
            scope: events_are_not_read_from_elsewhere lists_show_only_the_scope
                replays_stay_within_the_scope endpoints_are_changed_by_their_owner
                made_things_are_their_owners
                configurations_are_apart settings_are_apart
                accepting_for_a_foreign_source_is_refused quarantines_are_apart;
            deliveries: planned_deliveries_wait_or_are_leased a_lease_carries_the_event
                the_oldest_due_comes_first leases_are_bounded_and_of_one_endpoint
                nothing_is_leased_before_it_is_due planned_moments_are_kept concurrent_leases_are_disjoint leases_expire
                an_expired_lease_holds_until_somebody_asks asking_ends_all_expired_leases
                released_deliveries_wait_again stale_releases_are_passed_over
                due_tells_the_earliest_of_each_endpoint under_way_is_pending_and_not_due
                deliveries_outlast_their_endpoint;
            attempts: a_final_step_ends_the_delivery a_retry_puts_the_delivery_back
                a_retry_may_be_due_at_once a_stale_attempt_changes_nothing
                a_lease_is_good_for_one_attempt unknown_deliveries_are_stale
                what_is_not_leased_cannot_be_finished one_token_serves_all_deliveries_of_an_event
                attempts_stand_in_their_order attempts_come_back_exactly
                unknown_attempts_are_not_there racing_attempts_have_one_winner
                late_results_reach_old_events;
            replay: ended_deliveries_start_again waiting_deliveries_are_hurried
                deliveries_under_way_are_left_alone all_planned_endpoints_are_replayed
                chosen_endpoints_are_replayed generations_rise generations_are_apart
                events_without_deliveries_need_a_choice unknown_events_are_not_replayed
                replays_survive_a_crash;
            duplicates: repeats_are_recorded repeats_of_live_events_start_nothing
                a_repeat_of_a_failed_event_replays_it a_repeat_of_a_posted_event_starts_nothing
                a_repeat_of_a_partly_failed_event_starts_nothing the_latest_delivery_counts;
            payloads: expunging_removes_the_payload_only expunging_is_done_once
                deliveries_carry_what_is_left expunging_leaves_dedupe_alone
                payloads_go_at_their_time expunged_events_go_with_the_others
                attempts_are_rewritten;
            counts: counts_are_what_the_list_gives counts_are_told_in_order;
            quarantine: refused_requests_come_back pages_go_down the_oldest_go_when_it_is_full
                refused_requests_outlast_a_restart lists_are_filtered
                released_requests_are_events releasing_twice_makes_one_event
                releasing_at_the_same_time_makes_one_event a_repeat_leaves_quarantine_too
                released_requests_stay_released;
            retention: old_events_go_and_young_ones_stay nothing_goes_early
                failed_events_stay_longer pending_events_stay nothing_is_left_of_what_went
                the_cap_takes_the_oldest an_empty_store_has_nothing_to_sweep
                what_waits_for_a_removed_endpoint_goes
                what_is_under_way_to_a_removed_endpoint_stays
                the_cap_takes_what_waits_for_removed_endpoints
                work_goes_on_during_a_sweep;
            backup: a_backup_is_made_or_refused a_backup_opens_as_a_store;
            stats: counts_follow_what_happens counts_survive_a_crash a_working_store_is_healthy
                a_closed_store_says_so closing_finishes_what_is_queued;
            crash: durability_is_as_declared accepted_events_survive finished_attempts_survive
                pending_deliveries_are_found_again leases_are_as_declared old_tokens_stay_stale
                released_moments_are_as_declared a_crash_after_every_step_loses_nothing;
        }
    };
}

/// The part of [`conformance!`](crate::conformance) that makes the modules.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_groups {
    ($harness:ty; $($group:ident: $($case:ident)+;)+) => {
        $(mod $group {
            #[allow(unused_imports, reason = "the harness may be named by its full path")]
            use super::*;
            $(#[test]
            fn $case() {
                let place = $crate::Place::of::<$harness>();
                $crate::run_named(stringify!($group), stringify!($case), place);
            })+
        })+
    };
}

/// The part of [`conformance!`](crate::conformance) that makes the random tests.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_random {
    ($harness:ty; $($name:ident: $seed:literal,)+) => {
        mod random {
            #[allow(unused_imports, reason = "the harness may be named by its full path")]
            use super::*;
            $(#[test]
            fn $name() {
                $crate::run_case($crate::random_operations::<$harness>($seed, 700));
            })+
        }
    };
}

/// Runs one case.
///
/// # Panics
/// If the case fails, or there is none of this name.
#[doc(hidden)]
pub fn run_named(group: &str, case: &str, place: Place) {
    let found = CASES.iter().find(|(of, name, _)| (*of, *name) == (group, case));
    let (.., start) = found.unwrap_or_else(|| panic!("there is no case {group}::{case}"));
    crate::run_case(start(place));
}

/// Writes the table of cases, so that they are compiled here and not in every test that runs them.
macro_rules! table {
    (; $($group:ident: $($case:ident)+;)+) => {
        static CASES: &[(&str, &str, fn(Place) -> Later<'static, ()>)] = &[
            $($((stringify!($group), stringify!($case), |place| {
                Box::pin(crate::cases::$group::$case(place))
            }),)+)+
        ];
    };
}
pub(crate) use table;

crate::every_case! { table }
