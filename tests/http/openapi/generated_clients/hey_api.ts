// Uses what @hey-api/openapi-ts makes of the description.
// Arguments: the URL of a server, an API key, the UUID of a contact with a phone and an email.

import { client } from "./sdk/client.gen";
import * as api from "./sdk/sdk.gen";
import type {
  ContactRequest,
  ListRequest,
  ResolveRequest,
  StringIdsChannel,
} from "./sdk/types.gen";

type Optional<T, K extends keyof T> = undefined extends T[K] ? true : never;

// A key that may be absent must be typed so, and a request must need no key but the required ones.
const handleIsOptional: Optional<StringIdsChannel, "channel_handle"> = true;
const infoIsOptional: Optional<StringIdsChannel, "info_channel"> = true;
const everyContact: ListRequest = {};
const nobody: ContactRequest = { custom: { "1": "x" } };
const sought: ResolveRequest = { channel_id: "15105553344" };

const [url, key, uuid] = process.argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl: url, auth: key });
const path = { contactID: uuid };

function present<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error("no data");
  }
  return value;
}

async function main(): Promise<void> {
  const listed = await api.contactChannelListAll({
    path,
    query: { representation: "integer_ids" },
  });
  const replaced = await api.contactChannelReplace({
    path,
    body: { channel_type: "phone", channel_id: "14155551234" },
  });
  const got = await api.contactChannelGet({ path: { ...path, channelType: "phone" } });
  const email = { ...path, channelType: "email" };
  const removed = await api.contactChannelRemove({ path: email });
  const refused = await api.contactChannelGet({ path: email });
  const added = await api.contactChannelAdd({
    path,
    body: { channel_type: "email", channel_id: "alice.b@example.com" },
  });
  const made = await api.contactCreate({ body: nobody });
  const contacts = await api.contactsPage({ body: everyContact });
  const resolved = await api.resolveOne({ body: sought });
  const team = await api.contactTeam();
  console.log(
    JSON.stringify({
      listed: present(listed.data).map((channel) => typeof channel.id),
      replaced: present(replaced.data).map((channel) => channel.channel_id),
      got: [present(got.data).channel_id, present(got.data).channel_handle ?? "absent"],
      removed: present(removed.data).map((channel) => channel.channel_type),
      refused: present(refused.error).error_code,
      added: present(added.data).map((channel) => channel.channel_id),
      made: present(made.data).custom,
      contacts: present(contacts.data).length,
      resolved: present(resolved.data).created,
      team: present(team.data).members.map((member) => member.name),
      optional: handleIsOptional && infoIsOptional,
    }),
  );
}

void main();
