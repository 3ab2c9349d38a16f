// What an event of a type looks like: an example, its fields, its schema.
import { SegmentedControl, Skeleton, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { CodeBlock } from "../parts/CodeBlock";
import { useRights } from "./context";
import { examplesQuery, type EventType } from "./queries";
import { fieldsOf, newestSchema } from "./schema";

/** `brief` leaves out what the catalogue's own page shows. */
export function TypeDetails({ type, brief = false }: { type: EventType; brief?: boolean }) {
  const { app } = useRights();
  const examples = useQuery(examplesQuery(app));
  const [view, setView] = useState("example");
  const newest = newestSchema(type.schemas);
  const example = examples.data?.get(type.name);
  if (examples.isPending) return <Skeleton h={80} />;
  const views = [
    ...(example !== undefined ? [{ value: "example", label: "Example" }] : []),
    ...(newest ? [{ value: "fields", label: "Fields" }, { value: "schema", label: "JSON Schema" }] : []),
  ];
  const shown = views.some((one) => one.value === view) ? view : views[0]?.value;
  if (!shown) return <Text c="dimmed">Neither schema nor example is documented for this type.</Text>;
  return (
    <Stack gap="xs" align="stretch">
      <div><SegmentedControl size="xs" data={views} value={shown} onChange={setView} aria-label={`What to show of ${type.name}`} /></div>
      {shown === "example" && <CodeBlock language="JSON" copyLabel="Copy the example" text={JSON.stringify(example, null, 2)} />}
      {shown === "schema" && newest && <CodeBlock language="JSON" copyLabel="Copy the schema" text={JSON.stringify(newest.schema, null, 2)} />}
      {shown === "fields" && newest && <FieldList schema={newest.schema} />}
      {!brief && newest && newest.versions > 1 && <Text size="xs" c="dimmed">Version {newest.version} of the schema, the newest of {newest.versions}.</Text>}
    </Stack>
  );
}

function FieldList({ schema }: { schema: unknown }) {
  const fields = fieldsOf(schema);
  if (fields.length === 0) return <Text c="dimmed">The schema names no fields.</Text>;
  return (
    <dl className="fields">
      {fields.map((field) => (
        <div key={field.path}>
          <dt className="foreign"><span className="mono">{field.path}</span> <Text span size="xs" c="dimmed">{field.type}{field.required ? "" : ", optional"}</Text></dt>
          {field.description && <dd className="foreign">{field.description}</dd>}
        </div>
      ))}
    </dl>
  );
}
