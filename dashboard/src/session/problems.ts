// What came of signing in elsewhere, by the code in the address: `/?problem=CODE`.
const TOLD: Record<string, string> = {
  sign_in_cancelled: "The sign-in was cancelled, or your account there may not use Becket.",
  sign_in_refused: "Your account has no role here. Ask who runs the gateway to give you one.",
  sign_in_lost: "That sign-in took too long, was used already, or was begun in another browser. Try again.",
  sign_in_unavailable: "The gateway cannot reach your identity provider. Try again in a minute, or use a token.",
  sign_in_unproven: "Your identity provider's answer did not prove who you are. Try again; the gateway's log says more.",
  sign_in_off: "Signing in elsewhere is not set up here. Use a token.",
  throttled: "Too many attempts to sign in from here. Wait a minute, then try again.",
  session_needs_https: "Sessions need HTTPS, except on the gateway's own machine. Open the dashboard by its https address.",
};

/** A problem's code in words; codes that are not known are named. */
export const problemText = (code: string): string =>
  TOLD[code] ?? `Signing in did not work (code ${code.replace(/[^\w-]/g, "")}). Try again; the gateway's log says more.`;
