/** The random word of this answer that lets our own style elements through the content security policy. */
export const nonce: string =
  document.querySelector<HTMLMetaElement>('meta[name="becket-nonce"]')?.content ?? "";

// Dialogs lock the page's scrolling with a style element of their own and look for the nonce here.
(globalThis as { __webpack_nonce__?: string }).__webpack_nonce__ = nonce;
