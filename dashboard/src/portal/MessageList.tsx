// Events that were sent, newest first: of one endpoint with how they stand there, or of all.
import { Button, Group, NativeSelect, Skeleton, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";

import { Empty } from "../parts/Empty";
import { State } from "../parts/State";
import { Time } from "../parts/Time";
import { Trouble } from "../parts/Trouble";
import { useRights } from "./context";
import { go, to } from "./place";
import { destinationsQuery, endpointMessagesQuery, eventTypesQuery, messagesQuery, moving, type Endpoint, type EndpointMessage, type Message } from "./queries";
import { Due, Status } from "./Status";
import { PERIODS, nameOf, sinceOf, statusWord } from "./words";

export interface MessageListProps {
  /** Only what went to this endpoint. */
  endpoint: string | null;
  /** The endpoints to choose from, if one can be chosen. */
  endpoints?: Endpoint[] | undefined;
  query: URLSearchParams;
  /** The place of the list, whose query the filters are. */
  here: string[];
}

const LIST_MS = 5_000;
const STATUSES = [
  { value: "", label: "Any status" }, { value: "0", label: "Delivered" }, { value: "2", label: "Failed" },
  { value: "1", label: "Waiting" }, { value: "3", label: "Sending" }, { value: "4", label: "Cancelled" },
];

export function MessageList({ endpoint, endpoints, query, here }: MessageListProps) {
  const { app } = useRights();
  const [type, status, period] = ["type", "status", "period"].map((name) => query.get(name));
  const wanted = { type: type ?? null, since: sinceOf(period ?? null), status: status ?? null };
  const narrowed = Boolean(type || status || period);
  const set = (name: string, value: string) => {
    const next = Object.fromEntries([...query, [name, value]].filter(([, one]) => one));
    // Only where an endpoint is known is it known how an event stands there.
    if (name === "endpoint" && !value) delete next.status;
    go(to(here, next), true);
  };
  return (
    <div>
      <Filters {...{ endpoint, endpoints, query, set }} />
      {endpoint === null
        ? <Everywhere {...{ wanted, narrowed }} />
        : <There {...{ endpoint, wanted, narrowed }} key={`${app}${endpoint}`} />}
    </div>
  );
}

interface FiltersProps extends Pick<MessageListProps, "endpoint" | "endpoints" | "query"> {
  set: (name: string, value: string) => void;
}

function Filters({ endpoint, endpoints, query, set }: FiltersProps) {
  const { app, source } = useRights();
  const types = useQuery({ ...eventTypesQuery(app), enabled: !source });
  const type = query.get("type") ?? "";
  const names = (types.data ?? []).map((one) => one.name);
  if (type && !names.includes(type)) names.push(type);
  return (
    <Group gap="xs" mb="sm" role="search" aria-label="Narrow the list">
      {endpoints && (
        <NativeSelect aria-label="Endpoint" value={endpoint ?? ""} onChange={(event) => set("endpoint", event.currentTarget.value)}
          data={[{ value: "", label: "All endpoints" }, ...endpoints.map((one) => ({ value: one.id, label: nameOf(one) }))]} />
      )}
      {endpoint !== null && (
        <NativeSelect aria-label="Status" value={query.get("status") ?? ""} onChange={(event) => set("status", event.currentTarget.value)} data={STATUSES} />
      )}
      {names.length > 0 && (
        <NativeSelect aria-label="Event type" value={type} onChange={(event) => set("type", event.currentTarget.value)}
          data={[{ value: "", label: "All event types" }, ...names.map((name) => ({ value: name, label: name }))]} />
      )}
      <NativeSelect aria-label="Period" value={query.get("period") ?? ""} onChange={(event) => set("period", event.currentTarget.value)}
        data={[{ value: "", label: "Any time" }, ...Object.entries(PERIODS).map(([value, { label }]) => ({ value, label }))]} />
    </Group>
  );
}

interface ListProps {
  wanted: { type: string | null; since: string | null; status: string | null };
  narrowed: boolean;
}

function Everywhere({ wanted, narrowed }: ListProps) {
  const { app } = useRights();
  const list = useInfiniteQuery(messagesQuery(app, wanted));
  return <Rows list={list} narrowed={narrowed} status={(message) => <Everyone message={message} />} />;
}

function There({ endpoint, wanted, narrowed }: ListProps & { endpoint: string }) {
  const { app } = useRights();
  const list = useInfiniteQuery(endpointMessagesQuery(app, endpoint, wanted));
  return (
    <Rows list={list} narrowed={narrowed} status={(message: EndpointMessage) => (
      <>
        <Status status={message.statusText} />
        {message.nextAttempt && <Due at={message.nextAttempt} />}
      </>
    )} />
  );
}

interface RowsProps<M extends Message> {
  list: {
    data: { pages: { data: M[] }[] } | undefined; error: Error | null; isPending: boolean; hasNextPage: boolean; isFetchingNextPage: boolean;
    refetch: () => unknown; fetchNextPage: () => unknown;
  };
  narrowed: boolean;
  status: (message: M) => React.ReactNode;
}

function Rows<M extends Message>({ list, narrowed, status }: RowsProps<M>) {
  if (list.error && !list.data) return <Trouble error={list.error} retry={() => void list.refetch()} />;
  if (list.isPending || !list.data) return <Skeleton h={180} />;
  const messages = list.data.pages.flatMap((page) => page.data);
  if (messages.length === 0 && !list.hasNextPage) {
    return narrowed
      ? <Empty title="Nothing fits">Choose another period, type or status above.</Empty>
      : <Empty title="Nothing was sent yet">As soon as something happens, the event appears here, with every attempt to deliver it and what your server answered.</Empty>;
  }
  return (
    <>
      <ul className="rows" aria-label="Events">
        {messages.map((message) => (
          <li key={message.id}>
            <a className="row message" href={to(["deliveries", message.id])}>
              <div>
                <Text fw={500} className="mono foreign">{message.eventType}</Text>
                <Text size="xs" c="dimmed" className="mono foreign">{message.eventId ?? message.id}</Text>
              </div>
              <div className="when"><Text size="sm" c="dimmed" component="div"><Time at={message.timestamp} quiet /></Text></div>
              <div className="end">{status(message)}</div>
            </a>
          </li>
        ))}
      </ul>
      {list.hasNextPage && (
        <Group justify="center" mt="sm">
          <Button variant="default" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>Show older ones</Button>
        </Group>
      )}
    </>
  );
}

/** How an event stands everywhere it went, in one word. */
function Everyone({ message }: { message: Message }) {
  const { app } = useRights();
  // One question for each row: asked again only while something is under way.
  const found = useQuery({
    ...destinationsQuery(app, message.id),
    refetchInterval: (query) => (moving(query.state.data) ? LIST_MS : false as const),
  });
  if (!found.data) return <Skeleton h={16} w={70} />;
  if (found.data.length === 0) return <State state="no endpoint" tone="none" />;
  const words = found.data.map((one) => one.statusText);
  const worst = ["fail", "sending", "pending", "success", "canceled"].find((one) => words.includes(one as "fail")) ?? "canceled";
  const { word, tone } = statusWord(worst);
  const same = words.filter((one) => one === worst).length;
  return <State state={words.length > 1 ? `${same} of ${words.length} ${word}` : word} tone={tone} />;
}
