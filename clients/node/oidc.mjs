// An OpenID Connect provider of its own kind (oidc-provider) that signs people in without asking them, to
// test the gateway's sign-in against an implementation that is not ours.
//
// Takes JSON on its first line of standard input: { port, clientId, clientSecret, redirectUrl }. Prints
// `ready` when it listens. `GET /as?account=NAME` says who signs in from then on; `/as?account=` lets
// nobody in.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

import Provider from "oidc-provider";

const people = {
  ann: { name: "Ann Operator", email: "ann@example.com", email_verified: true, groups: ["ops"] },
  bob: { name: "Bob Builder", email: "bob@example.org", email_verified: true, groups: [] },
  eve: { name: "Eve", email: "ann@example.com", email_verified: false, groups: ["others"] },
};

const line = await new Promise((resolve) => createInterface(process.stdin).once("line", resolve));
const { port, clientId, clientSecret, redirectUrl } = JSON.parse(line);
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
let account = "ann";

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: [redirectUrl],
      grant_types: ["authorization_code"],
      response_types: ["code"],
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "ES256", kid: "one" }] },
  cookies: { keys: ["for-these-tests-only"] },
  pkce: { required: () => true },
  claims: {
    openid: ["sub"],
    profile: ["name"],
    email: ["email", "email_verified"],
    groups: ["groups"],
  },
  scopes: ["openid", "groups"],
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, ...people[id] }),
  }),
});
provider.on("server_error", (_context, error) => console.error(error));

async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (account === "") {
    return provider.interactionFinished(request, response, { error: "access_denied" });
  }
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: account } });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

const answer = provider.callback();
createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === "/as") {
    account = url.searchParams.get("account");
    response.end("ok");
  } else if (url.pathname.startsWith("/interaction/")) {
    interact(request, response).catch((error) => {
      console.error(error);
      response.statusCode = 500;
      response.end();
    });
  } else {
    answer(request, response);
  }
}).listen(port, "127.0.0.1", () => console.log("ready"));
