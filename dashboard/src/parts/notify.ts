import { notifications } from "@mantine/notifications";

import { explained } from "./Trouble";

/** Short messages in the corner: what was done goes away by itself, what failed stays until it is read. */
export const notify = {
  done(text: string) {
    notifications.show({ color: "green", message: text, autoClose: 4_000, withBorder: true, closeButtonProps: { "aria-label": "Close this message" } });
  },
  failed(error: unknown) {
    const { title, todo } = explained(error);
    notifications.show({ color: "red", title, message: todo, autoClose: 12_000, withBorder: true, role: "alert", closeButtonProps: { "aria-label": "Close this message" } });
  },
};
