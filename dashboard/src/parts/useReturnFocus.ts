import { useEffect, useState } from "react";

/** For dialogs that are taken away instead of closed: when they go, the focus returns to where it was. */
export function useReturnFocus(): void {
  const [opener] = useState(() => document.activeElement);
  useEffect(() => () => {
    // Once the dialog is gone and nothing else has taken the focus.
    setTimeout(() => {
      const lost = document.activeElement === null || document.activeElement === document.body;
      if (lost && opener instanceof HTMLElement && opener.isConnected) opener.focus({ preventScroll: true });
    });
  }, [opener]);
}
