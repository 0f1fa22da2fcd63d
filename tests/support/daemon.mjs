// daemon.mjs - a real prilorad in a child process, for tests written in JavaScript; as server.h is
// for those in C. The program is $PRILORAD, else build/asan/prilorad.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const START_LIMIT_MS = 60000; // sanitizers on a busy machine take seconds
const STOP_LIMIT_MS = 60000;
const REPORTS = /ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer/;

export const root = fileURLToPath(new URL("../..", import.meta.url));

export class Daemon {
    // settings: ["--training.threads=1", ...]
    constructor(settings = []) {
        this.folder = mkdtempSync(join(tmpdir(), "prilorad-test-"));
        this.settings = settings;
        this.port = 0;
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    path(name) {
        return join(this.folder, name);
    }

    // On the port it had before, if it had one: clients reconnect to it.
    async start() {
        const log = openSync(this.path("log"), "a");

        rmSync(this.path("port"), { force: true });
        this.child = spawn(
            process.env.PRILORAD ?? "build/asan/prilorad",
            [
                `--server.listen=127.0.0.1:${this.port}`,
                `--server.port_file=${this.path("port")}`,
                `--storage.state_dir=${this.path("state")}`,
                "--storage.models_dirs=examples:tests/golden/models",
                ...this.settings,
            ],
            { cwd: root, stdio: ["ignore", "ignore", log] },
        );
        closeSync(log);
        this.ended = once(this.child, "exit");
        for (let waited = 0; waited < START_LIMIT_MS; waited += 20) {
            if (this.child.exitCode !== null) break;
            if (existsSync(this.path("port"))) {
                this.port = Number(readFileSync(this.path("port"), "utf8"));
                if (this.port) return this;
            }
            await sleep(20);
        }
        throw new Error(`prilorad did not start:\n${this.log()}`);
    }

    log() {
        return readFileSync(this.path("log"), "utf8");
    }

    async kill() {
        this.child.kill("SIGKILL");
        await this.ended;
    }

    // It must end well and soon, and no sanitizer may have found anything.
    async stop() {
        this.child.kill("SIGTERM");
        const timer = setTimeout(() => this.child.kill("SIGKILL"), STOP_LIMIT_MS);
        const [code, signal] = await this.ended;
        clearTimeout(timer);
        const log = this.log();
        if (code !== 0) throw new Error(`prilorad ended with ${code ?? signal}:\n${log}`);
        if (REPORTS.test(log)) throw new Error(`a sanitizer found something in prilorad:\n${log}`);
    }

    remove() {
        rmSync(this.folder, { recursive: true, force: true });
    }
}
