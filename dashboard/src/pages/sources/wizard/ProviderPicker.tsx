import { Box, Group, Loader, Text, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, useEffect, useId, useMemo, useState } from "react";

import { providersQuery } from "../../../api/queries/sources";
import { Proof } from "../../../parts/Guide";
import { Trouble } from "../../../parts/Trouble";
import { type Choice, chosenFrom } from "../popular";

interface Props {
  find: string;
  onFind: (typed: string) => void;
  onChosen: (slug: string) => void;
}

/** A field that finds a provider: arrow keys move through the list, Enter takes one. */
export function ProviderPicker({ find, onFind, onChosen }: Props) {
  const id = useId();
  const providers = useQuery(providersQuery);
  const groups = useMemo(() => chosenFrom(providers.data ?? [], find), [providers.data, find]);
  const flat = useMemo(() => groups.flatMap((group) => group.choices.map((choice) => ({ choice, group: group.title }))), [groups]);
  const [at, setAt] = useState(0);
  useEffect(() => setAt(0), [find]);
  const optionId = (index: number) => `${id}-${index}`;
  useEffect(() => {
    document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [at, id]);

  function onKeyDown(key: KeyboardEvent) {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    const step = steps[key.key];
    if (step !== undefined) {
      key.preventDefault();
      setAt((before) => Math.min(Math.max(before + step, 0), Math.max(flat.length - 1, 0)));
    } else if (key.key === "Enter") {
      key.preventDefault();
      const chosen = flat[at];
      if (chosen) onChosen(chosen.choice.slug);
    } else if (key.key === "Escape" && find !== "") {
      onFind("");
    }
  }

  if (providers.error) return <Trouble error={providers.error} retry={() => void providers.refetch()} />;
  let index = -1;
  return (
    <Box maw={760}>
      <TextInput label="Who sends the webhooks?" placeholder="Stripe, GitHub, Shopify..." size="md" mb="xs"
        leftSection={<IconSearch size={18} aria-hidden />} autoFocus autoComplete="off" spellCheck={false}
        role="combobox" aria-expanded="true" aria-controls={`${id}-list`} aria-autocomplete="list"
        aria-activedescendant={flat.length > 0 ? optionId(at) : undefined}
        value={find} onChange={(change) => onFind(change.currentTarget.value)} onKeyDown={onKeyDown} />
      <Box id={`${id}-list`} role="listbox" aria-label="Providers" className="provider-list" hidden={flat.length === 0}>
        {groups.map((group) => (
          <Box key={group.title} role="group" aria-label={group.title}>
            <div className="provider-group" aria-hidden>{group.title}</div>
            {group.choices.map((choice) => {
              index += 1;
              const own = index;
              return <Option key={choice.slug} id={optionId(own)} choice={choice} active={own === at}
                onPoint={() => setAt(own)} onChosen={() => onChosen(choice.slug)} />;
            })}
          </Box>
        ))}
      </Box>
      {providers.isPending && <Group p="md"><Loader size="sm" aria-hidden /><Text size="sm">Reading the catalogue</Text></Group>}
      {providers.data && flat.length === 0 && <Nothing onChosen={onChosen} find={find} />}
      <Text size="xs" c="dimmed" mt="xs" role="status">
        {find === "" ? "" : `${flat.length} found. `}
        Proven: checked against signatures of the provider itself. Declared: written from its documentation, not checked yet.
      </Text>
    </Box>
  );
}

interface OptionProps { id: string; choice: Choice; active: boolean; onPoint: () => void; onChosen: () => void }

function Option({ id, choice, active, onPoint, onChosen }: OptionProps) {
  return (
    <div id={id} role="option" aria-selected={active} className="provider-option" onClick={onChosen} onMouseDown={onPoint}>
      <span className="provider-mark" aria-hidden>{choice.name.slice(0, 1).toUpperCase()}</span>
      <Box miw={0}>
        <Text size="sm" fw={500} className="foreign">{choice.name}</Text>
        {choice.note && <Text size="xs" c="dimmed">{choice.note}</Text>}
      </Box>
      <Proof status={choice.status} />
    </div>
  );
}

function Nothing({ find, onChosen }: { find: string; onChosen: (slug: string) => void }) {
  return (
    <Box p="md">
      <Text size="sm" mb="xs">No provider of the catalogue is called “{find}”.</Text>
      <Text size="sm">
        Most senders sign with a keyed hash: <button type="button" className="link-button" onClick={() => onChosen("hmac")}>take the general entry</button>{" "}
        and say where the signature stands. If they follow Standard Webhooks,{" "}
        <button type="button" className="link-button" onClick={() => onChosen("standardwebhooks")}>take that one</button>.
      </Text>
    </Box>
  );
}
