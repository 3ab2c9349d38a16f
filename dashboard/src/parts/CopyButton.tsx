import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useEffect, useState } from "react";

import { copy } from "./copy";
import { notify } from "./notify";

export interface CopyButtonProps {
  value: string;
  /** What is copied, e.g. `Copy the URL`: the button's name and tooltip. */
  label: string;
  /** Shows the label beside the icon. */
  text?: boolean;
}

/** Copies a text and says that it has. */
export function CopyButton({ value, label, text = false }: CopyButtonProps) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_600);
    return () => clearTimeout(timer);
  }, [done]);
  const press = async () => {
    if (await copy(value)) setDone(true);
    else notify.failed(new Error("The browser does not let this page copy. Select the text and copy it by hand."));
  };
  const icon = done ? <IconCheck size={15} /> : <IconCopy size={15} />;
  const said = <span role="status" className="visually-hidden">{done ? "Copied" : ""}</span>;
  if (text) {
    return <><Button variant="default" leftSection={icon} onClick={() => void press()}>{done ? "Copied" : label}</Button>{said}</>;
  }
  return (
    <>
      <Tooltip label={done ? "Copied" : label}>
        <ActionIcon variant="subtle" color={done ? "green" : "gray"} size="sm" aria-label={label} onClick={() => void press()}>{icon}</ActionIcon>
      </Tooltip>
      {said}
    </>
  );
}
