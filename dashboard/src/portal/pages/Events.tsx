// The event catalogue: what can happen, what it means, what it looks like.
import { Skeleton, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { Empty } from "../../parts/Empty";
import { State } from "../../parts/State";
import { Trouble } from "../../parts/Trouble";
import { useRights } from "../context";
import { Page } from "../Page";
import { to } from "../place";
import { eventTypesQuery, type EventType } from "../queries";
import { TypeDetails } from "../TypeDetails";
import { grouped } from "../TypePicker";

export function EventsPage({ name }: { name: string | null }) {
  const { app } = useRights();
  const types = useQuery(eventTypesQuery(app));
  const trouble = types.error && <Trouble error={types.error} retry={() => void types.refetch()} />;
  if (name !== null) {
    const type = types.data?.find((one) => one.name === name);
    return (
      <Page title={name} back={{ label: "Events", href: to(["events"]) }} {...(type?.deprecated && { aside: <State state="deprecated" tone="warn" /> })}>
        {trouble}
        {types.isPending && <Skeleton h={200} />}
        {types.data && !type && <Empty title="There is no such event type">It may have been renamed or taken away.</Empty>}
        {type && <Text className="foreign" maw={760}>{type.description}</Text>}
        {type && <TypeDetails type={type} />}
      </Page>
    );
  }
  return (
    <Page title="Events" lead="What can happen, and what you get sent when it does.">
      {trouble}
      {types.isPending && <Skeleton h={200} />}
      {types.data?.length === 0 && <Empty title="No event types are documented yet">Events are delivered all the same. What they look like you see in the deliveries.</Empty>}
      {types.data && types.data.length > 0 && <Catalogue types={types.data} />}
    </Page>
  );
}

function Catalogue({ types }: { types: EventType[] }) {
  const [search, setSearch] = useState("");
  const groups = grouped(types, [], search.trim().toLowerCase());
  return (
    <>
      {types.length > 7 && <TextInput size="sm" maw={360} aria-label="Search event types" placeholder="Search names and descriptions" value={search} onChange={(event) => setSearch(event.currentTarget.value)} />}
      {groups.length === 0 && <Empty title="No event type fits">Try another word.</Empty>}
      {groups.map(([group, members]) => (
        <section key={group}>
          {(group || groups.length > 1) && <Title order={2} size="h3" mb="xs" className="foreign">{group || "Other"}</Title>}
          <ul className="rows">
            {members.map((type) => (
              <li key={type.name}>
                <a className="row type" href={to(["events", type.name])}>
                  <Text fw={500} className="mono foreign">{type.name}{type.deprecated ? " (deprecated)" : ""}</Text>
                  <Text c="dimmed" className="foreign about">{type.description}</Text>
                </a>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}
