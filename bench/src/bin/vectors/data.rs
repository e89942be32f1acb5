//! Made-up vectors and incidents; the same at every run.

use kubernaut::{model::Timestamp, port::VectorItem};

/// Numbers in a vector, as small sentence models have them.
pub(crate) const DIMENSIONS: usize = 384;
/// How far vectors lie around their cluster, in relation to how far clusters lie apart.
const SPREAD: f32 = 0.7;

/// Numbers that only the seed decides.
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// −1 to 1, more often near 0.
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
    fn number(&mut self) -> f32 {
        let unit = |bits: u64| (bits & 0xff_ffff) as f32 / 8_388_608.0 - 1.0;
        let bits = self.bits();
        (unit(bits) + unit(bits >> 24)) / 2.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.bits() % n.max(1) as u64).unwrap_or(0)
    }
}

/// A fortieth as many clusters as vectors, of unequal size, in a space of few hidden directions that is turned into all dimensions, as sentences
/// use few of them.
pub(crate) fn items(count: usize, directions: usize) -> Vec<VectorItem> {
    let mut chance = Chance(42);
    let mixing: Vec<[(usize, f32); 4]> = (0..DIMENSIONS).map(|_| std::array::from_fn(|_| (chance.below(directions), chance.number()))).collect();
    let centres: Vec<Vec<f32>> = (0..=count / 40).map(|_| (0..directions).map(|_| chance.number()).collect()).collect();
    (0..count)
        .map(|n| {
            // The smaller of two numbers: early clusters are larger.
            let cluster = chance.below(centres.len()).min(chance.below(centres.len()));
            let empty = Vec::new();
            let hidden: Vec<f32> = centres.get(cluster).unwrap_or(&empty).iter().map(|x| x + SPREAD * chance.number()).collect();
            let mix = |(from, weight): &(usize, f32)| hidden.get(*from).copied().unwrap_or(0.0) * weight;
            let vector = mixing.iter().map(|sources| sources.iter().map(mix).sum::<f32>() + 0.05 * chance.number()).collect();
            let draw = chance.below(100);
            let labels = [("half", draw < 50), ("tenth", draw < 10), ("hundredth", draw < 1)];
            let labels = labels.into_iter().filter(|(_, yes)| *yes).map(|(name, _)| (name.to_owned(), "yes".to_owned())).collect();
            VectorItem { id: format!("{n:07}"), vector, labels, at: Timestamp::UNIX_EPOCH }
        })
        .collect()
}

const TROUBLES: &[&str] = &[
    "container was OOMKilled with exit code 137, memory limit {n}Mi",
    "CrashLoopBackOff: the process exits with code 1, environment variable SETTING_{n} is not set",
    "ImagePullBackOff: manifest unknown for tag v1.{n}.0",
    "FailedScheduling: 0/{n} nodes are available, untolerated taint",
    "readiness probe failed: HTTP probe failed with statuscode {n}",
    "FailedMount: configmap settings-{n} not found",
    "x509: certificate has expired after {n} days",
    "dial tcp: connection refused on port {n}",
    "no space left on device, volume of {n}Gi is full",
    "exceeded quota: requests.cpu={n}, used is at its limit",
];

pub(crate) fn alert(n: u32) -> String {
    let names = ["KubePodCrashLooping", "KubePodNotReady", "KubeDeploymentReplicasMismatch", "HighErrorRate", "TargetDown"];
    pick(&names, n / 3).to_owned()
}

pub(crate) fn namespace(n: u32) -> String {
    format!("{}-{}", pick(&["shop", "billing", "search", "media"], n), n % 25)
}

pub(crate) fn workload(n: u32) -> String {
    format!("{}-{}", pick(&["api", "worker", "cart", "checkout", "mailer", "indexer"], n / 7), n % 400)
}

/// What is written about an incident.
pub(crate) fn sentence(n: u32) -> String {
    let trouble = pick(TROUBLES, n).replace("{n}", &(n % 977).to_string());
    format!("{} Deployment/{}/{}\n{trouble}\nlast change of the template {} minutes before the alert", alert(n), namespace(n), workload(n), n % 240)
}

fn pick<'a>(from: &[&'a str], n: u32) -> &'a str {
    usize::try_from(n).ok().and_then(|n| from.get(n % from.len())).copied().unwrap_or_default()
}
