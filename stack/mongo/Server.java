import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import org.h2.mvstore.MVStore;

/** The MongoDB protocol for machines without mongod. Arguments: host, port, and the data file or "memory". */
public final class Server {
    private static final int MEGABYTE = 1 << 20;
    /** Milliseconds until a write is in the file, as for MongoDB's own journal. */
    private static final int AUTO_COMMIT_DELAY = 100;

    public static void main(String[] arguments) {
        MongoBackend backend = arguments[2].equals("memory") ? new MemoryBackend() : file(arguments[2]);
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind(arguments[0], Integer.parseInt(arguments[1]));
    }

    private static MongoBackend file(String name) {
        int quarterOfTheHeap = (int) (Runtime.getRuntime().maxMemory() / MEGABYTE / 4);
        // H2 2.3.232 rewrites sparsely used parts of the file in the background, and has lost records by that when
        // the server was busy: "Chunk 1379 not found", at each later read too. Without it the file grows some more.
        MVStore store = new MVStore.Builder()
                .fileName(name).cacheSize(quarterOfTheHeap).autoCompactFillRate(0).open();
        store.setAutoCommitDelay(AUTO_COMMIT_DELAY);
        return new H2Backend(store);
    }
}
