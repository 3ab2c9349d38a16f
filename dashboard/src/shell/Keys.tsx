import { Modal, Switch, Table, Text } from "@mantine/core";
import { useState } from "react";

import type { Me } from "../api/queries/common";
import { useReturnFocus } from "../parts/useReturnFocus";
import { pagesOf } from "./pages";
import { shortcutsOn, switchShortcuts } from "./useShortcuts";

/** The keys that do something everywhere. */
export function Keys({ me, onClose }: { me: Me; onClose: () => void }) {
  useReturnFocus();
  const [on, setOn] = useState(shortcutsOn);
  const keys: [string[], string][] = [
    [["/"], "Search, or paste an id"],
    [["Ctrl", "K"], "Search, also while typing"],
    [["?"], "This list"],
    [["Esc"], "Close what is open"],
    ...pagesOf(me).map((page): [string[], string] => [["g", page.key], page.label]),
  ];
  return (
    <Modal opened onClose={onClose} title={<Text fw={600} size="md" span>Keyboard shortcuts</Text>}>
      <Table>
        <Table.Tbody>
          {keys.map(([press, what]) => (
            <Table.Tr key={what}>
              <Table.Td w={120}>{press.map((key) => <kbd key={key}>{key}</kbd>)}</Table.Td>
              <Table.Td>{what}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Switch mt="md" label="Single keys act" description="Off: only Ctrl K does, for speech input and for who types past fields."
        checked={on} onChange={(change) => { switchShortcuts(change.currentTarget.checked); setOn(change.currentTarget.checked); }} />
    </Modal>
  );
}
