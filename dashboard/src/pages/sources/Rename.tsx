import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { IconPencil } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type Source, changeSource } from "../../api/queries/sources";
import { Trouble } from "../../parts/Trouble";
import { nameOf } from "./names";

/** Gives a source another name; its URL and its events stay. */
export function Rename({ source }: { source: Source }) {
  const queries = useQueryClient();
  const [opened, setOpened] = useState(false);
  const [name, setName] = useState(nameOf(source));
  const save = useMutation({
    mutationFn: () => changeSource(source.id, { name: name.trim() }),
    onSuccess: () => {
      setOpened(false);
      void queries.invalidateQueries({ queryKey: ["sources"] });
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!save.isPending && name.trim() !== "") save.mutate();
  }
  return (
    <>
      <Button variant="default" leftSection={<IconPencil size={15} aria-hidden />} onClick={() => { setName(nameOf(source)); setOpened(true); }}>Rename</Button>
      <Modal opened={opened} onClose={() => setOpened(false)} title="Rename the source">
        <form onSubmit={submit}>
          <Stack>
            <TextInput label="Name" required maxLength={256} data-autofocus value={name} onChange={(change) => setName(change.currentTarget.value)} />
            {save.error && <Trouble error={save.error} />}
            <Group justify="flex-end">
              <Button variant="default" onClick={() => setOpened(false)}>Cancel</Button>
              <Button type="submit" loading={save.isPending}>Save the name</Button>
            </Group>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
