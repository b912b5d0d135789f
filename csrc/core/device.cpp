#include "core/device.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <mutex>

#include "core/ggml_abort.h"
#include "core/n_threads.h"
#include "core/process.h"
#include "error/error.h"
#include "error/quote.h"
#include "threads/cpu_share.h"
#include "threads/region.h"

namespace omni {

namespace {

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return (char) std::tolower(c); });
    return text;
}

std::string kind_of(ggml_backend_dev_t device) {
    switch (ggml_backend_dev_type(device)) {
        case GGML_BACKEND_DEVICE_TYPE_CPU: return "cpu";
        case GGML_BACKEND_DEVICE_TYPE_GPU: return "gpu";
        case GGML_BACKEND_DEVICE_TYPE_IGPU: return "igpu";
        default: return "accelerator";
    }
}

ggml_backend_dev_t cpu_device() {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (device == nullptr) {
        throw Error(ErrorKind::internal, "this build of omniggml has no CPU backend; build it again");
    }
    return device;
}

// A graphics driver that computes on the CPU, and slower than ggml does there.
bool is_software(ggml_backend_dev_t device) {
    const std::string description = lower(ggml_backend_dev_description(device));
    const auto        named       = [&](const char * name) { return description.find(name) != std::string::npos; };
    return named("llvmpipe") || named("softpipe") || named("swiftshader") || named("basic render driver");
}

// The process in which drivers were first asked for their devices, which starts them; 0 where there are none.
std::atomic<long> drivers_process{ 0 };

void note_drivers() {
    long none = 0;
    drivers_process.compare_exchange_strong(none, process_id());
}

void note_local_drivers() {
    if (ggml_backend_dev_count() > 1) {
        note_drivers();
    }
}

void check_drivers(ggml_backend_dev_t device) {
    if (drivers_are_lost() && ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU) {
        throw Error(ErrorKind::input,
                    std::string("this process was forked from one that knew the device ") +
                        ggml_backend_dev_name(device) +
                        ", which does not survive that; start the process anew (multiprocessing's \"spawn\"), or use "
                        "device \"cpu\"");
    }
}

ggml_backend_dev_t preferred_device() {
    for (auto type : { GGML_BACKEND_DEVICE_TYPE_GPU, GGML_BACKEND_DEVICE_TYPE_IGPU }) {
        for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
            ggml_backend_dev_t device = ggml_backend_dev_get(i);
            if (ggml_backend_dev_type(device) == type && !is_software(device)) {
                return device;
            }
        }
    }
    return cpu_device();
}

ggml_backend_dev_t device_by_name(const std::string & name) {
    const std::string  wanted  = lower(name);
    ggml_backend_dev_t by_stem = nullptr;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        const std::string  have   = lower(ggml_backend_dev_name(device));
        if (have == wanted) {
            return device;
        }
        if (by_stem == nullptr && have.rfind(wanted, 0) == 0) {
            by_stem = device;
        }
    }
    return by_stem;
}

bool is_endpoint(const std::string & name) {
    const auto colon = name.rfind(':');
    return colon != std::string::npos && colon > 0 && colon + 1 < name.size() &&
           std::all_of(name.begin() + (std::ptrdiff_t) colon + 1, name.end(),
                       [](unsigned char c) { return std::isdigit(c) != 0; });
}

void check_port(const std::string & endpoint) {
    const std::string digits = endpoint.substr(endpoint.rfind(':') + 1);
    const long        port   = digits.size() <= 5 ? std::stol(digits) : 0;
    if (port < 1 || port > 65535) {
        throw Error(ErrorKind::input,
                    "device \"" + endpoint + "\" names the port " + digits + "; a port is a number from 1 to 65535");
    }
}

void check_threads(int n_threads) {
    check_n_threads(n_threads);
    const int n_ready = prepare_team(n_threads);
    if (n_ready < n_threads) {
        throw Error(ErrorKind::memory, "the system started " + std::to_string(n_ready - 1) + " of " +
                                           std::to_string(n_threads - 1) +
                                           " further threads; use fewer threads, or allow more memory or processes");
    }
}

// Asks whichever backend can add servers for the devices behind an endpoint; the first of them, or nullptr.
ggml_backend_dev_t remote_device(const std::string & endpoint) {
    using add_server_t = ggml_backend_reg_t (*)(const char *);
    static std::mutex                                              mutex;
    static std::vector<std::pair<std::string, ggml_backend_dev_t>> known;
    std::lock_guard<std::mutex>                                    lock(mutex);
    for (const auto & entry : known) {
        if (entry.first == endpoint) {
            return entry.second;
        }
    }
    for (size_t i = 0; i < ggml_backend_reg_count(); ++i) {
        auto add_server = reinterpret_cast<add_server_t>(
            ggml_backend_reg_get_proc_address(ggml_backend_reg_get(i), "ggml_backend_rpc_add_server"));
        if (add_server == nullptr) {
            continue;
        }
        ggml_backend_reg_t server = nullptr;
        try {
            server = add_server(endpoint.c_str());
        } catch (const Error &) {
            // ggml asserts that somebody listens, and speaks the protocol.
        }
        if (server == nullptr || ggml_backend_reg_dev_count(server) == 0) {
            throw Error(ErrorKind::input, "no RPC server answers at " + endpoint +
                                              "; start omniggml-rpc-server there, of the same version");
        }
        note_drivers();
        known.emplace_back(endpoint, ggml_backend_reg_dev_get(server, 0));
        return known.back().second;
    }
    throw Error(ErrorKind::input, "device \"" + endpoint +
                                      "\" is a network address, and this build has no RPC backend; install with "
                                      "CMAKE_ARGS=\"-DGGML_RPC=ON\"");
}

}  // namespace

bool drivers_are_lost() {
    const long process = drivers_process.load();
    return process != 0 && process != process_id();
}

std::vector<DeviceInfo> list_devices() {
    catch_ggml_aborts();
    note_local_drivers();
    std::vector<DeviceInfo> devices;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        DeviceInfo info{ ggml_backend_dev_name(device), ggml_backend_dev_description(device), kind_of(device), 0, 0 };
        check_drivers(device);
        ggml_backend_dev_memory(device, &info.memory_free, &info.memory_total);
        devices.push_back(info);
    }
    return devices;
}

void check_n_threads(int n_threads) {
    if (n_threads < 0 || n_threads > GGML_MAX_N_THREADS) {
        throw Error(ErrorKind::input, "the number of threads is " + std::to_string(n_threads) +
                                          "; it must be 0 (all that may run) to " + std::to_string(GGML_MAX_N_THREADS));
    }
}

ggml_backend_dev_t find_device(const std::string & name) {
    catch_ggml_aborts();
    note_local_drivers();
    ggml_backend_dev_t device = nullptr;
    if (name.empty()) {
        throw Error(ErrorKind::input, "the device has an empty name; \"auto\" is the first GPU, else the CPU");
    }
    if (lower(name) == "auto") {
        device = preferred_device();
    } else if (is_endpoint(name)) {
        check_port(name);
        device = remote_device(name);
    } else {
        device = device_by_name(name);
    }
    if (device != nullptr) {
        check_drivers(device);
        return device;
    }
    std::string known;
    for (const auto & device : list_devices()) {
        known += (known.empty() ? "" : ", ") + device.name;
    }
    throw Error(ErrorKind::input,
                "there is no device \"" + shortened(name) + "\"; this build and machine have: " + known);
}

Backends::Backends(ggml_backend_dev_t device, int n_threads) : device_(device) {
    catch_ggml_aborts();
    check_process();
    if (n_threads == 0) {
        n_threads = std::min(usable_cpus(), GGML_MAX_N_THREADS);
    }
    check_threads(n_threads);
    add(device, n_threads);
    if (device != cpu_device()) {
        add(cpu_device(), n_threads);
    }
}

void Backends::add(ggml_backend_dev_t device, int n_threads) {
    ggml_backend_t backend = ggml_backend_dev_init(device, nullptr);
    if (backend == nullptr) {
        throw Error(ErrorKind::memory,
                    std::string("device ") + ggml_backend_dev_name(device) + " could not be started");
    }
    handles_.emplace_back(backend);
    auto set_n_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads"));
    if (set_n_threads != nullptr) {
        set_n_threads(backend, n_threads);
    }
}

void Backends::check_process() const {
    check_drivers(device_);
}

void Backends::Free::operator()(ggml_backend_t backend) const {
    if (drivers_are_lost() && ggml_backend_get_device(backend) != cpu_device()) {
        return;
    }
    try {
        ggml_backend_free(backend);
    } catch (const Error &) {
        // The device is gone.
    }
}

void Backends::abandon() const {
    abandoned_ = true;
    for (auto & handle : handles_) {
        (void) handle.release();
    }
    handles_.clear();
}

std::vector<ggml_backend_t> Backends::handles() const {
    std::vector<ggml_backend_t> out;
    for (const auto & handle : handles_) {
        out.push_back(handle.get());
    }
    return out;
}

ggml_backend_buffer_type_t Backends::device_buffer_type() const {
    return ggml_backend_dev_buffer_type(device_);
}

bool Backends::supports(const ggml_tensor * node) const {
    for (const auto & handle : handles_) {
        if (ggml_backend_supports_op(handle.get(), node)) {
            return true;
        }
    }
    return false;
}

}  // namespace omni
