// servers.mjs - the other hosts that a daemon talks to, for tests written in JavaScript: a hub of
// models, and who is told of jobs that have ended. hub.h and receiver.h do more, in C.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const WAIT_LIMIT_MS = 60000;

class LocalServer {
    async start() {
        this.server = createServer((request, answer) => this.serve(request, answer)).listen(0, "127.0.0.1");
        await once(this.server, "listening");
        this.url = `http://127.0.0.1:${this.server.address().port}`;
        return this;
    }

    stop() {
        this.server.closeAllConnections();
        this.server.close();
    }
}

// One model, of the files in `folder`, at one commit.
export class Hub extends LocalServer {
    model = "owner/mini";
    commit = "1".repeat(40);
    #held = false;

    constructor(folder) {
        super();
        this.files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
    }

    // From now on no file comes.
    hold() {
        this.#held = true;
    }

    #listing() {
        const siblings = [...this.files].map(([rfilename, bytes]) => ({
            rfilename,
            size: bytes.length,
            blobId: createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
        }));
        return JSON.stringify({ id: this.model, sha: this.commit, siblings });
    }

    serve(request, answer) {
        const { pathname } = new URL(request.url, this.url);
        const prefix = `/${this.model}/resolve/${this.commit}/`;
        const file = pathname.startsWith(prefix) && this.files.get(pathname.slice(prefix.length));

        if (pathname.startsWith(`/api/models/${this.model}/revision/`))
            answer.writeHead(200, { "Content-Type": "application/json" }).end(this.#listing());
        else if (!file) answer.writeHead(404).end();
        else if (!this.#held)
            answer.writeHead(200, { "Content-Length": file.length, "X-Repo-Commit": this.commit }).end(file);
    }
}

// Takes whatever is posted to it.
export class Receiver extends LocalServer {
    got = [];

    async serve(request, answer) {
        let body = "";
        for await (const piece of request) body += piece;
        this.got.push({ headers: request.headers, body });
        answer.writeHead(200).end();
    }

    // The first that is wanted.
    async wait(isWanted = () => true) {
        for (let waited = 0; waited < WAIT_LIMIT_MS; waited += 50) {
            const found = this.got.find(isWanted);
            if (found) return found;
            await new Promise((done) => setTimeout(done, 50));
        }
        throw new Error(`it did not come, but ${this.got.length} others`);
    }
}
