import { ActionIcon, Menu, Text, Tooltip } from "@mantine/core";
import { IconBook2, IconKeyboard, IconLogout, IconUserCircle } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";

import { call } from "../api/client";
import { type Me, selfQuery } from "../api/queries/common";
import { notify } from "../parts/notify";
import { Time } from "../parts/Time";

const ROLES = { admin: "Admin", developer: "Developer", viewer: "Viewer", portal: "Portal" } as const;

/** Who is signed in, and the way out. */
export function Account({ me, onKeys }: { me: Me; onKeys: () => void }) {
  const queries = useQueryClient();
  const signOut = async () => {
    try {
      await call("DELETE", "/api/v1/becket/session");
      queries.setQueryData(selfQuery.queryKey, null);
    } catch (error) {
      notify.failed(error);
    }
  };
  const name = me.name ?? (me.operator ? "Operator" : ROLES[me.role]);
  return (
    <Menu position="bottom-end" width={240} withinPortal>
      <Menu.Target>
        <Tooltip label={`Signed in as ${name}`}>
          <ActionIcon variant="subtle" color="gray" size={30} aria-label={`Account: ${name}`}><IconUserCircle size={19} stroke={1.6} /></ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        <div className="account">
          <Text fw={600} truncate className="foreign" data-truncate>{name}</Text>
          <Text size="xs" c="dimmed">
            {me.operator ? "Operator of the installation" : ROLES[me.role]}{me.payloads ? "" : ", without payloads"}
          </Text>
          {me.expiresAt && <Text size="xs" c="dimmed">Session ends <Time at={me.expiresAt} show="ago" quiet /> unless used</Text>}
        </div>
        <Menu.Divider />
        <Menu.Item leftSection={<IconKeyboard size={15} />} onClick={onKeys} rightSection={<kbd>?</kbd>}>Keyboard shortcuts</Menu.Item>
        <Menu.Item leftSection={<IconBook2 size={15} />} component="a" href="/api/v1/docs" target="_blank" rel="noreferrer">API reference</Menu.Item>
        {me.session && <><Menu.Divider /><Menu.Item leftSection={<IconLogout size={15} />} onClick={() => void signOut()}>Sign out</Menu.Item></>}
      </Menu.Dropdown>
    </Menu>
  );
}
