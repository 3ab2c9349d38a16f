// Making an endpoint for an application, a source, or the gateway's own events.
import { Modal, Select, Stack, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { call } from "../../api/client";
import { applicationsQuery } from "../../api/queries/applications";
import { sourcesQuery, useSelf } from "../../api/queries/common";
import { type EndpointDetails, listPathOf, type Owner } from "../../api/queries/endpoints";
import { eventTypesQuery } from "../../api/queries/event-types";
import { type EndpointField, EndpointForm, type EndpointValues } from "../../parts/EndpointForm";
import { notify } from "../../parts/notify";
import { useReturnFocus } from "../../parts/useReturnFocus";
import { bodyOf, fieldsOf, GATEWAY_TYPES } from "./Settings";

const GATEWAY = "gateway";

interface Props {
  /** Whose it will be; asked for if absent. */
  owner?: Owner;
  close: () => void;
}

/** The form of a new endpoint. */
export function NewEndpoint({ owner, close }: Props) {
  useReturnFocus();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const me = useSelf();
  const types = useQuery(eventTypesQuery);
  const [chosen, setChosen] = useState<Owner | undefined>(owner);
  const privates = me.admin && me.environment === 1;
  const fields: EndpointField[] = chosen ? [...fieldsOf(chosen.kind, privates), "secret", "disabled"] : [];
  const create = async (values: EndpointValues) => {
    if (!chosen) return;
    const body = Object.fromEntries(Object.entries(bodyOf(values, fields)).filter(([, value]) => value !== null));
    const made = await call<EndpointDetails>("POST", listPathOf(chosen), { body });
    await Promise.all([
      queries.invalidateQueries({ queryKey: ["endpoints"] }),
      queries.invalidateQueries({ queryKey: ["applications", chosen.id] }),
    ]);
    notify.done("The endpoint is made. Send it a test event.");
    close();
    await navigate({ to: "/endpoints/$endpointId", params: { endpointId: made.id } });
  };
  return (
    <Modal opened onClose={close} size="lg" title={<Text fw={600} size="md" span>New endpoint</Text>}>
      <Stack>
        {!owner && <OwnerSelect chosen={chosen} choose={setChosen} />}
        {chosen && !types.isPending && (
          <EndpointForm key={chosen.id} fields={fields} freeTypes={chosen.kind !== "application"} submitLabel="Make the endpoint"
            types={chosen.kind === "gateway" ? GATEWAY_TYPES.map((name) => ({ name })) : (types.data ?? []).filter((type) => !type.archived)}
            onSubmit={create} cancel={close} />
        )}
      </Stack>
    </Modal>
  );
}

function OwnerSelect({ chosen, choose }: { chosen: Owner | undefined; choose: (owner: Owner | undefined) => void }) {
  const applications = useInfiniteQuery(applicationsQuery);
  const sources = useQuery(sourcesQuery);
  const customers = applications.data?.pages.flatMap((page) => page.data) ?? [];
  const data = [
    { group: "Applications", items: customers.map((one) => ({ value: one.id, label: one.uid ? `${one.name} (${one.uid})` : one.name })) },
    { group: "Sources", items: (sources.data?.data ?? []).map((one) => ({ value: one.id, label: one.uid })) },
    { group: "The gateway", items: [{ value: GATEWAY, label: "Events about the gateway itself" }] },
  ].filter((group) => group.items.length > 0);
  const pick = (value: string | null) => {
    if (value === null) return choose(undefined);
    if (value === GATEWAY) return choose({ kind: "gateway", id: GATEWAY });
    choose({ kind: value.startsWith("src_") ? "source" : "application", id: value });
  };
  return (
    <Select label="Whose events" placeholder="Choose an application or a source" data={data} searchable withAsterisk data-autofocus
      value={chosen?.id ?? null} onChange={pick} nothingFoundMessage="Nothing of that name"
      description="Endpoints get the events of one source, or those that are posted for one application." />
  );
}
