// The latest attempts at an endpoint.
import { Button, Group, SegmentedControl, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { type Attempt, attemptsQuery, type Outcome } from "../../api/queries/endpoints";
import { Empty } from "../../parts/Empty";
import { duration } from "../../parts/format";
import { State } from "../../parts/State";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";

const WHICH = [{ value: "all", label: "All" }, { value: "failed", label: "Failed" }, { value: "succeeded", label: "Succeeded" }];

interface Props {
  endpointId: string;
  outcome: string | undefined;
  setOutcome: (outcome: Outcome | undefined) => void;
}

/** Attempts with their answer and how long they took, newest first. */
export function Attempts({ endpointId, outcome, setOutcome }: Props) {
  const asked = outcome === "failed" || outcome === "succeeded" ? outcome : undefined;
  const attempts = useInfiniteQuery(attemptsQuery(endpointId, asked));
  const rows = attempts.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <>
      <Group justify="space-between" gap="xs">
        <Text component="h2" fw={600} size="md">Attempts</Text>
        <SegmentedControl aria-label="Which attempts" data={WHICH} value={asked ?? "all"}
          onChange={(value) => setOutcome(value === "all" ? undefined : (value as Outcome))} />
      </Group>
      {attempts.error && <Trouble error={attempts.error} retry={() => void attempts.refetch()} />}
      {attempts.isSuccess && rows.length === 0 && (
        <Empty title={asked === "failed" ? "No attempt has failed" : "Nothing was delivered here yet"}>
          {asked === "failed" ? "Failed attempts would be listed here with what the receiver answered." : "Send a test event to see how your receiver answers."}
        </Empty>
      )}
      {rows.length > 0 && (
        <Table aria-label="Attempts" layout="fixed" highlightOnHover>
          <Table.Thead>
            <Table.Tr>
              <Table.Th w={{ base: 100, sm: 120 }}>Result</Table.Th>
              <Table.Th>Answer</Table.Th>
              <Table.Th visibleFrom="xs" ta="right" w={90}>Duration</Table.Th>
              <Table.Th visibleFrom="sm" w={110}>Attempt</Table.Th>
              <Table.Th w={{ base: 100, sm: 220 }}>At</Table.Th>
              <Table.Th w={80}><span className="visually-hidden">Event</span></Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>{rows.map((attempt) => <Row key={attempt.id} attempt={attempt} />)}</Table.Tbody>
        </Table>
      )}
      {attempts.hasNextPage && (
        <Group justify="center">
          <Button variant="default" loading={attempts.isFetchingNextPage} onClick={() => void attempts.fetchNextPage()}>Show older</Button>
        </Group>
      )}
    </>
  );
}

/** What the receiver answered, in words. */
export function answerOf(attempt: Pick<Attempt, "status" | "errorCode" | "succeeded">): string {
  if (attempt.status !== null) return `HTTP ${attempt.status}${attempt.errorCode ? ` · ${attempt.errorCode}` : ""}`;
  return attempt.errorCode ?? (attempt.succeeded ? "done" : "no answer");
}

function Row({ attempt }: { attempt: Attempt }) {
  return (
    <Table.Tr>
      <Table.Td><State state={attempt.succeeded ? "succeeded" : "failed"} /></Table.Td>
      <Table.Td className="mono foreign">{answerOf(attempt)}</Table.Td>
      <Table.Td visibleFrom="xs" ta="right" className="numbers">{duration(attempt.durationMs)}</Table.Td>
      <Table.Td visibleFrom="sm">
        {attempt.number}{attempt.trigger === "replay" && <Text span c="dimmed" inherit> (replay)</Text>}
      </Table.Td>
      <Table.Td><Time at={attempt.startedAt} show="both" quiet /></Table.Td>
      <Table.Td ta="right">
        <Link to="/events/$eventId" params={{ eventId: attempt.eventId }} className="link" aria-label={`Event ${attempt.eventId}`}>Event</Link>
      </Table.Td>
    </Table.Tr>
  );
}
