// Choosing event types by what they mean: groups with descriptions, the schema and an example of each a
// click away.
import { Anchor, Checkbox, Input, Radio, Skeleton, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState } from "react";

import { Trouble } from "../parts/Trouble";
import { useRights } from "./context";
import { eventTypesQuery, type EventType } from "./queries";

const TypeDetails = lazy(() => import("./TypeDetails").then(({ TypeDetails: part }) => ({ default: part })));

export interface TypePickerProps {
  /** `null` means all, also those that come later. */
  chosen: string[] | null;
  change: (chosen: string[] | null) => void;
  error?: string | undefined;
}

/** A search field is worth its place from so many types on. */
const SEARCH_FROM = 8;

export function TypePicker({ chosen, change, error }: TypePickerProps) {
  const { app } = useRights();
  const types = useQuery(eventTypesQuery(app));
  const [some, setSome] = useState(chosen !== null);
  if (types.error) return <Trouble error={types.error} retry={() => void types.refetch()} />;
  if (!types.data) return <Skeleton h={120} />;
  const switchTo = (value: string) => {
    setSome(value === "some");
    change(value === "some" && chosen ? chosen : null);
  };
  return (
    <Stack gap="xs">
      <Radio.Group label="Events" value={some ? "some" : "all"} onChange={switchTo} size="sm" error={error}
        description={types.data.length === 0 ? "No event types are documented yet, so everything is delivered." : undefined}>
        <Stack gap={6} mt={6}>
          <Radio value="all" label="All events, also of types that are added later" />
          <Radio value="some" label="Only the types that I choose" disabled={types.data.length === 0 && chosen === null} />
        </Stack>
      </Radio.Group>
      {some && <Choices types={types.data} chosen={chosen ?? []} change={(names) => change(names.length > 0 ? names : null)} />}
    </Stack>
  );
}

function Choices({ types, chosen, change }: { types: EventType[]; chosen: string[]; change: (names: string[]) => void }) {
  const [search, setSearch] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  const groups = useMemo(() => grouped(types, chosen, search.trim().toLowerCase()), [types, chosen, search]);
  const flip = (name: string) => change(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  return (
    <div className="picker">
      {types.length >= SEARCH_FROM && (
        <TextInput aria-label="Search event types" placeholder="Search names and descriptions" value={search} onChange={(event) => setSearch(event.currentTarget.value)} />
      )}
      <div className="picker-list">
        {groups.length === 0 && <Text c="dimmed" p="xs">No event type fits.</Text>}
        {groups.map(([group, members]) => (
          <fieldset key={group} className="picker-group">
            <legend className={group === "" ? "visually-hidden" : undefined}>{group || "Event types"}</legend>
            {members.map((type) => (
              <div key={type.name} className="picker-type">
                <Checkbox size="sm" checked={chosen.includes(type.name)} onChange={() => flip(type.name)}
                  label={<span className="mono foreign">{type.name}{type.deprecated ? " (deprecated)" : ""}</span>}
                  description={<span className="foreign">{type.description}</span>} />
                {type.schemas && (
                  <Anchor component="button" type="button" size="xs" aria-expanded={open === type.name} onClick={() => setOpen(open === type.name ? null : type.name)}>
                    {open === type.name ? "Hide" : "Look inside"}<span className="visually-hidden"> {type.name}</span>
                  </Anchor>
                )}
                {open === type.name && <div className="picker-details"><Suspense fallback={<Skeleton h={80} />}><TypeDetails type={type} brief /></Suspense></div>}
              </div>
            ))}
          </fieldset>
        ))}
      </div>
      <Input.Description role="status">{chosen.length === 0 ? "Nothing chosen yet: all events are delivered." : `${chosen.length} of ${types.length} chosen`}</Input.Description>
    </div>
  );
}

/** Types by group; those that are chosen but not documented any more come last. */
export function grouped(types: EventType[], chosen: readonly string[], search: string): [string, EventType[]][] {
  const groups = new Map<string, EventType[]>();
  const known = new Set(types.map((type) => type.name));
  const gone = chosen.filter((name) => !known.has(name))
    .map((name) => ({ name, description: "No longer documented", deprecated: true, createdAt: "", updatedAt: "" }) as EventType);
  for (const type of [...types, ...gone]) {
    if (search && !`${type.name} ${type.description}`.toLowerCase().includes(search)) continue;
    const group = type.groupName ?? "";
    groups.set(group, [...(groups.get(group) ?? []), type]);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}
