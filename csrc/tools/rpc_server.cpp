// omniggml-rpc-server [port [device...]]: lends this machine's ggml devices to one omniggml or llama.cpp at a time.
//
// Built where GGML_RPC=ON. It listens on the loopback interface alone, for the protocol knows neither passwords nor
// encryption: reach it from another machine through a tunnel (ssh -L 50052:127.0.0.1:50052 host). Both ends need the
// same ggml. Without a device it lends every GPU, or the CPU where there is none; names are those that it prints.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-rpc.h"
#include "threads/cpu_share.h"

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace {

// Devices that lie in this machine: the RPC backend also registers the servers it is a client of.
std::vector<ggml_backend_dev_t> local_devices() {
    std::vector<ggml_backend_dev_t> devices;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (ggml_backend_dev_backend_reg(device) != ggml_backend_rpc_reg()) {
            devices.push_back(device);
        }
    }
    return devices;
}

std::vector<ggml_backend_dev_t> default_devices(const std::vector<ggml_backend_dev_t> & local) {
    std::vector<ggml_backend_dev_t> gpus;
    std::vector<ggml_backend_dev_t> cpus;
    for (ggml_backend_dev_t device : local) {
        const auto type = ggml_backend_dev_type(device);
        if (type == GGML_BACKEND_DEVICE_TYPE_CPU) {
            cpus.push_back(device);
        } else if (type != GGML_BACKEND_DEVICE_TYPE_ACCEL) {
            gpus.push_back(device);
        }
    }
    return gpus.empty() ? cpus : gpus;
}

// A stream that this process was started without leads nowhere from here on. Else a client's connection gets its
// number, and what ggml prints of the connection goes to the client, in the middle of an answer.
void open_closed_streams() {
#ifndef _WIN32
    for (int stream = 0; stream < 3; ++stream) {
        if (fcntl(stream, F_GETFD) == -1) {
            (void) open("/dev/null", O_RDWR);  // the lowest number that is free is this one
        }
    }
#endif
}

}  // namespace

int main(int argc, char ** argv) {
    open_closed_streams();
    char *     end  = nullptr;
    const long port = argc > 1 ? std::strtol(argv[1], &end, 10) : 50052;
    if (port < 1 || port > 65535 || (end != nullptr && *end != '\0')) {
        std::fprintf(stderr, "usage: %s [port [device...]]: \"%s\" is no port between 1 and 65535\n", argv[0], argv[1]);
        return 2;
    }

    const auto                      local = local_devices();
    std::vector<ggml_backend_dev_t> chosen;
    for (int i = 2; i < argc; ++i) {
        std::string known;
        const auto  before = chosen.size();
        for (ggml_backend_dev_t device : local) {
            known += std::string(" ") + ggml_backend_dev_name(device);
            if (std::string(argv[i]) == ggml_backend_dev_name(device)) {
                chosen.push_back(device);
            }
        }
        if (chosen.size() == before) {
            std::fprintf(stderr, "there is no device \"%s\"; this machine has:%s\n", argv[i], known.c_str());
            return 2;
        }
    }
    if (chosen.empty()) {
        chosen = default_devices(local);
    }

    const std::string endpoint = "127.0.0.1:" + std::to_string(port);
    const size_t      threads  = (size_t) omni::usable_cpus();
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // what ggml prints shows up in a log file at once
    ggml_backend_rpc_start_server(endpoint.c_str(), nullptr, threads, chosen.size(), chosen.data());
    return 1;  // it serves for ever unless it could not start, and has said why
}
